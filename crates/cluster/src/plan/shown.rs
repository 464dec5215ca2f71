use std::fmt;

use serde_json::{Value, json};

use super::{Action, Plan, Step};

impl Action {
    /// The word for it, the same in text and in JSON.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Resume(_) => "resume",
            Self::Start => "start",
            Self::Change { .. } => "change",
            Self::Replace => "replace",
            Self::Recreate(_) => "recreate",
            Self::Keep => "keep",
            Self::Remove => "remove",
            Self::Extra => "extra",
            Self::Forget => "forget",
            Self::Refuse(_) => "refuse",
        }
    }

    /// What more there is to say; empty where the word says all.
    pub fn detail(&self) -> String {
        match self {
            Self::Resume(phase) => format!("goes on to become {phase}"),
            Self::Change { what, .. } => what.join(", "),
            Self::Replace => "it is gone".to_owned(),
            Self::Recreate(what) => format!("only a new machine can have {}", what.join(", ")),
            Self::Extra => "not in the file; --prune removes it".to_owned(),
            Self::Forget => "not in the file, and gone".to_owned(),
            Self::Refuse(reason) => reason.clone(),
            Self::Create | Self::Start | Self::Keep | Self::Remove => String::new(),
        }
    }
}

impl Plan {
    /// The plan as data.
    pub fn to_json(&self) -> Value {
        let step = |step: &Step| {
            json!({
                "machine": step.machine.as_str(),
                "action": step.action.word(),
                "detail": step.action.detail(),
                "wave": step.wave,
            })
        };
        json!({
            "cluster": self.cluster.as_str(),
            "orchestrator": self.orchestrator,
            "empty": self.is_empty(),
            "steps": self.steps.iter().map(step).collect::<Vec<_>>(),
        })
    }

    /// How many machines there are of each action: `2 to create, 1 to keep`.
    pub fn counts(&self) -> String {
        let mut counts: Vec<(&str, usize)> = Vec::new();
        for step in &self.steps {
            let word = step.action.word();
            match counts.iter_mut().find(|(known, _)| *known == word) {
                Some((_, count)) => *count += 1,
                None => counts.push((word, 1)),
            }
        }
        let counts: Vec<String> = counts
            .into_iter()
            .map(|(word, count)| format!("{count} to {word}"))
            .collect();
        match counts.is_empty() {
            true => "no machines".to_owned(),
            false => counts.join(", ").replace("to extra", "extra"),
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "cluster {} ({})", self.cluster, self.orchestrator)?;
        let names = self.steps.iter().map(|step| step.machine.as_str().len());
        let width = names.max().unwrap_or_default();
        for step in &self.steps {
            let line = format!(
                "  {:<8}  {:<width$}  {}",
                step.action.word(),
                step.machine,
                step.action.detail()
            );
            writeln!(f, "{}", line.trim_end())?;
        }
        writeln!(f, "{}", self.counts())
    }
}
