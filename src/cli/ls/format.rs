//! `--format`: how the rows are shown.

use serde_json::{Value, json};

use super::row::Row;
use crate::error::CommandError;
use crate::ui::{Template, escaped, tabulated};

const DEFAULT: &str = "table {{.Name}}\t{{.Active}}\t{{.DriverName}}\t{{.State}}\t{{.URL}}\t\
                       {{.Swarm}}\t{{.DockerVersion}}\t{{.Error}}";

/// The fields of a row and what stands above them in a table.
const HEADERS: &[(&str, &str)] = &[
    ("Name", "NAME"),
    ("Active", "ACTIVE"),
    ("ActiveHost", "ACTIVE_HOST"),
    ("ActiveSwarm", "ACTIVE_SWARM"),
    ("DriverName", "DRIVER"),
    ("State", "STATE"),
    ("URL", "URL"),
    ("SwarmOptions", "SWARM_OPTIONS"),
    ("Swarm", "SWARM"),
    ("EngineOptions", "ENGINE_OPTIONS"),
    ("Error", "ERRORS"),
    ("DockerVersion", "DOCKER"),
    ("ResponseTime", "RESPONSE"),
];

/// How rows are shown.
pub enum Format {
    /// One JSON document: a list with an object for each machine.
    Json,
    /// The template for each row, and whether it is a table with a header.
    Template(Box<Template>, bool),
}

impl Format {
    /// Reads `json`, `table`, `table TEMPLATE` or `TEMPLATE`.
    ///
    /// # Errors
    /// When the template cannot be parsed.
    pub fn parse(text: Option<&str>) -> Result<Self, CommandError> {
        let text = match text.unwrap_or_default() {
            "" | "table" => DEFAULT,
            "json" => return Ok(Self::Json),
            text => text,
        };
        let text = text.replace("\\t", "\t").replace("\\n", "\n");
        let (table, text) = match text.strip_prefix("table ") {
            Some(text) => (true, text.trim_start_matches(' ')),
            None => (false, text.as_str()),
        };
        let template = Template::parse(text)?;
        Ok(Self::Template(Box::new(template), table))
    }

    /// Shows the rows. Values are escaped in a table and where a terminal shows them; a script that
    /// reads a template's output from a pipe gets their own bytes.
    ///
    /// # Errors
    /// When the template names a field that rows do not have.
    pub fn shown(&self, rows: &[Row], terminal: bool) -> Result<String, CommandError> {
        match self {
            Self::Json => {
                let rows: Vec<Value> = rows.iter().map(|row| fields(row, false)).collect();
                Ok(format!("{}\n", Value::Array(rows)))
            }
            Self::Template(template, table) => {
                let mut lines = String::new();
                if *table {
                    let header = HEADERS.iter().map(|(field, header)| {
                        ((*field).to_owned(), Value::String((*header).to_owned()))
                    });
                    lines.push_str(&template.render_fields(&Value::Object(header.collect()))?);
                    lines.push('\n');
                }
                for row in rows {
                    let mut fields = fields(row, *table);
                    if *table || terminal {
                        fields = escaped(fields);
                    }
                    lines.push_str(&template.render_fields(&fields)?);
                    lines.push('\n');
                }
                Ok(if *table { tabulated(&lines) } else { lines })
            }
        }
    }
}

/// The fields of a row; in a table each stays in its cell.
fn fields(row: &Row, table: bool) -> Value {
    let cell = |text: &str| match table {
        true => text.split_whitespace().collect::<Vec<_>>().join(" "),
        false => text.to_owned(),
    };
    json!({
        "Name": row.name,
        "Active": row.active(),
        "ActiveHost": row.active_host,
        "ActiveSwarm": row.active_swarm,
        "DriverName": row.driver,
        "State": row.state.as_str(),
        "URL": row.url,
        "SwarmOptions": row.swarm_options,
        "Swarm": row.swarm,
        "EngineOptions": row.engine_options,
        "Error": cell(&row.errors.join("; ")),
        "DockerVersion": row.docker_version,
        "ResponseTime": format!("{}ms", row.response_time.as_millis()),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use rmachine_driver::MachineState;

    fn rows() -> Vec<Row> {
        let row = |name: &str| Row {
            name: name.to_owned(),
            driver: "generic".to_owned(),
            state: MachineState::Running,
            url: "tcp://10.0.0.1:2376".to_owned(),
            docker_version: "v26.1.5".to_owned(),
            engine_options: json!({"Labels": ["a=b"]}),
            response_time: Duration::from_millis(7),
            ..Row::default()
        };
        vec![
            Row {
                active_host: true,
                ..row("m2")
            },
            Row {
                errors: vec!["first\tline\nsecond".to_owned()],
                docker_version: "Unknown".to_owned(),
                active_swarm: true,
                ..row("m10")
            },
        ]
    }

    fn shown(format: Option<&str>) -> String {
        let format = Format::parse(format).unwrap();
        format.shown(&rows(), false).unwrap()
    }

    #[test]
    fn shows_the_columns_of_docker_machine() {
        let table = "\
NAME   ACTIVE      DRIVER    STATE     URL                   SWARM   DOCKER    ERRORS
m2     *           generic   Running   tcp://10.0.0.1:2376           v26.1.5   
m10    * (swarm)   generic   Running   tcp://10.0.0.1:2376           Unknown   first line second
";
        assert_eq!(shown(None), table);
        assert_eq!(shown(Some("table")), table);
    }

    #[test]
    fn shows_templates() {
        for (format, text) in [
            ("{{.Name}}", "m2\nm10\n"),
            ("{{.Name}}\\t{{.State}}", "m2\tRunning\nm10\tRunning\n"),
            (
                "table {{.Name}}\\t{{.ActiveHost}}",
                "NAME   ACTIVE_HOST\nm2     true\nm10    false\n",
            ),
            ("{{.EngineOptions.Labels}}", "[a=b]\n[a=b]\n"),
            (
                "{{json .EngineOptions}} {{.ResponseTime}}",
                "{\"Labels\":[\"a=b\"]} 7ms\n{\"Labels\":[\"a=b\"]} 7ms\n",
            ),
            ("{{if .ActiveHost}}{{.Name}}{{end}}", "m2\n\n"),
        ] {
            assert_eq!(shown(Some(format)), text, "{format}");
        }
    }

    #[test]
    fn shows_json() {
        let rows: Value = serde_json::from_str(&shown(Some("json"))).unwrap();
        assert_eq!(rows[0]["Name"], "m2");
        assert_eq!(rows[1]["Error"], "first\tline\nsecond");
        assert_eq!(rows[0]["ActiveHost"], true);
    }

    #[test]
    fn hostile_values_are_escaped_in_tables_and_on_terminals() {
        let rows = [Row {
            name: "n1".to_owned(),
            url: "tcp://h:1\tx\nn2".to_owned(),
            docker_version: "v1\x1b]0;owned\x07\r\n\u{202e}".to_owned(),
            errors: vec!["a\u{9b}2J\nb".to_owned()],
            engine_options: json!({"Labels": ["\x1b[8m=x"]}),
            ..Row::default()
        }];
        let shown = |format, terminal| Format::parse(format).unwrap().shown(&rows, terminal);
        let table = shown(None, false).unwrap();
        assert_eq!(table.lines().count(), 2, "{table}");
        assert!(
            table.ends_with(
                "tcp://h:1\\tx\\nn2           v1\\u{1b}]0;owned\\u{7}\\r\\n\\u{202e}   a\\u{9b}2J b\n"
            ),
            "{table}"
        );
        let template = Some("table {{.Name}}\t{{.EngineOptions}}");
        assert!(shown(template, false).unwrap().contains(r"[\u{1b}[8m=x]"));
        let template = Some("{{.DockerVersion}}");
        let terminal = "v1\\u{1b}]0;owned\\u{7}\\r\\n\\u{202e}\n";
        assert_eq!(shown(template, true).unwrap(), terminal);
        let piped = "v1\x1b]0;owned\x07\r\n\u{202e}\n";
        assert_eq!(shown(template, false).unwrap(), piped);
    }

    #[test]
    fn a_field_that_is_not_there_is_an_error() {
        assert!(
            Format::parse(Some("{{.Nmae}}"))
                .unwrap()
                .shown(&rows(), false)
                .is_err()
        );
    }
}
