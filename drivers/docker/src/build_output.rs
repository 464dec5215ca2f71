//! What a build of the node image says.

/// What a line of a build's output says about its progress, if it is one of ours.
pub fn step_of(line: &str) -> Option<&str> {
    line.strip_prefix("step: ").map(str::trim_end)
}

/// The last lines of a program's output, for the message when it fails.
#[derive(Default)]
pub struct Tail(std::collections::VecDeque<String>);

impl Tail {
    /// How many lines a person gets to see.
    const KEPT: usize = 12;

    pub fn push(&mut self, line: &str) {
        let line = line.trim();
        if line.is_empty() {
            return;
        }
        if self.0.len() == Self::KEPT {
            self.0.pop_front();
        }
        self.0.push_back(line.to_owned());
    }

    pub fn shown(&self) -> String {
        let lines: Vec<&str> = self.0.iter().map(String::as_str).collect();
        if lines.is_empty() {
            "it said nothing".to_owned()
        } else {
            format!("its last words:\n{}", lines.join("\n"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_last_lines_only() {
        let mut tail = Tail::default();
        assert_eq!(tail.shown(), "it said nothing");
        for n in 0..20 {
            tail.push(&format!("line {n}\n"));
            tail.push("  ");
        }
        assert!(tail.shown().starts_with("its last words:\nline 8\n"));
        assert!(tail.shown().ends_with("line 19"));
    }
}
