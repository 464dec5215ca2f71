use serde_json::Value;

/// What a manager says of a node.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Standing {
    /// Containers can be placed there.
    Healthy,
    /// It is known, and not healthy.
    Other {
        /// The manager's word for it.
        status: String,
        /// Why.
        error: Option<String>,
    },
    /// It has not registered.
    Unknown,
}

/// Finds a node, by where its engine is, in a manager's `GET /info`.
///
/// `SystemStatus` is a list of pairs; a node is one with its name and address, and the pairs after
/// it that begin with `  └ ` belong to it.
pub fn standing(info: &Value, advertise: &str) -> Standing {
    let Some(rows) = info["SystemStatus"].as_array() else {
        return Standing::Unknown;
    };
    let pair = |row: &Value| -> Option<(String, String)> {
        Some((row[0].as_str()?.to_owned(), row[1].as_str()?.to_owned()))
    };
    let rows: Vec<_> = rows.iter().filter_map(pair).collect();
    let is_detail = |key: &str| key.trim_start().starts_with('└');
    let Some(at) = rows
        .iter()
        .position(|(key, value)| !is_detail(key) && value == advertise)
    else {
        return Standing::Unknown;
    };
    let details = rows
        .iter()
        .skip(at + 1)
        .take_while(|(key, _)| is_detail(key));
    let detail = |name: &str| {
        let mut found = details.clone().filter(|(key, _)| key.ends_with(name));
        found.next().map(|(_, value)| value.clone())
    };
    match detail(" Status") {
        Some(status) if status == "Healthy" => Standing::Healthy,
        status => Standing::Other {
            status: status.unwrap_or_default(),
            error: detail(" Error").filter(|error| !error.is_empty() && error != "(none)"),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn finds_a_node_among_others() {
        let info = json!({"SystemStatus": [
            ["Role", "primary"],
            ["Nodes", "3"],
            [" (unknown)", "10.0.0.1:2376"],
            ["  └ ID", ""],
            ["  └ Status", "Pending"],
            ["  └ Error", "connection refused"],
            [" n2", "10.0.0.2:2376"],
            ["  └ Status", "Healthy"],
            ["  └ Error", "(none)"],
            [" n3", "10.0.0.3:2376"],
            ["  └ Status", "Disconnected"],
            ["  └ Error", "(none)"],
        ]});
        let other = |status: &str, error: Option<&str>| Standing::Other {
            status: status.to_owned(),
            error: error.map(str::to_owned),
        };
        for (advertise, expected) in [
            (
                "10.0.0.1:2376",
                other("Pending", Some("connection refused")),
            ),
            ("10.0.0.2:2376", Standing::Healthy),
            ("10.0.0.3:2376", other("Disconnected", None)),
            ("10.0.0.4:2376", Standing::Unknown),
            ("Pending", Standing::Unknown),
        ] {
            assert_eq!(standing(&info, advertise), expected, "{advertise}");
        }
        assert_eq!(standing(&json!({}), "x"), Standing::Unknown);
    }
}
