use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use rmachine_core::printable;
use rmachine_driver::{Secret, Secrets};

use super::Ui;
use crate::error::CommandError;

/// What was asked and what was answered, for the life of the program.
pub(super) type Answers = Mutex<HashMap<String, Option<Secret>>>;

impl Ui {
    /// Asks a question whose answer is yes or no. The end of the input means no.
    ///
    /// # Errors
    /// When standard input cannot be read.
    pub fn confirm(&self, question: &str) -> Result<bool, CommandError> {
        let question = printable::line(question);
        loop {
            self.aside(&format!("{question} (y/n): "));
            let answer = self.process.read_line().map_err(|error| {
                CommandError::failed("cannot read the answer from standard input").caused_by(&error)
            })?;
            match answer.as_deref().map(reading) {
                Some(Some(answer)) => return Ok(answer),
                Some(None) => {}
                None => {
                    self.aside("\n");
                    return Ok(false);
                }
            }
        }
    }
}

impl Secrets for Ui {
    fn ask(&self, prompt: &str) -> Option<Secret> {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = answers.get(prompt) {
            return answer.clone();
        }
        // rpassword asks on the terminal itself, so that a pipe on standard input is left alone;
        // where there is none it fails, and nobody can be asked.
        let shown = printable::line(prompt);
        let ask = || rpassword::prompt_password(format!("{shown}: ")).ok();
        let answer = match self.bars.get() {
            Some(bars) => bars.suspend(ask),
            None => ask(),
        };
        let answer = answer.map(Secret::new);
        answers.insert(prompt.to_owned(), answer.clone());
        answer
    }
}

fn reading(answer: &str) -> Option<bool> {
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Some(true),
        "n" | "no" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_yes_and_no_in_any_case() {
        for (text, meaning) in [
            ("y\n", Some(true)),
            ("YES\r\n", Some(true)),
            (" n ", Some(false)),
            ("No", Some(false)),
            ("", None),
            ("yep", None),
        ] {
            assert_eq!(reading(text), meaning, "{text:?}");
        }
    }
}
