//! How a text is written where systemd reads it.

use crate::env_var::EnvVar;

/// The text of an `EnvironmentFile=`. In its double quotes a backslash escapes what a shell would
/// expand, and everything else stands for itself.
pub(super) fn environment_file(variables: &[EnvVar]) -> String {
    let mut text = String::new();
    for variable in variables {
        text.push_str(variable.name());
        text.push_str("=\"");
        for c in variable.value().chars() {
            if matches!(c, '"' | '\\' | '`' | '$') {
                text.push('\\');
            }
            text.push(c);
        }
        text.push_str("\"\n");
    }
    text
}

/// One word of an `ExecStart=`. There, `$` stands for a variable.
pub(super) fn argument(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,+@".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("\"{}\"", escaped(word).replace('$', "$$"))
    }
}

fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '%' => text.push_str("%%"),
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            '\r' => text.push_str("\\r"),
            c if c.is_ascii_control() => text.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_arrives() {
        let variables = ["K=a b \"c\" \\ $d %e 'f' `g`\n\u{1}é", "L="];
        let variables = variables.map(|variable| variable.parse().unwrap());
        assert_eq!(
            environment_file(&variables),
            "K=\"a b \\\"c\\\" \\\\ \\$d %e 'f' \\`g\\`\n\u{1}é\"\nL=\"\"\n"
        );
        assert_eq!(argument("--bip=10.0.0.1/16"), "--bip=10.0.0.1/16");
        assert_eq!(argument("--x=$HOME a%"), "\"--x=$$HOME a%%\"");
    }
}
