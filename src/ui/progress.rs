use std::time::Duration;

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use rmachine_core::printable;
use rmachine_driver::Report;
use serde_json::json;

use super::Ui;
use crate::error::CommandError;

/// How often a line that is being redrawn shows that it lives.
const TICK: Duration = Duration::from_millis(120);

/// How progress is shown on standard error.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub enum ProgressMode {
    /// One redrawn line a machine on a terminal, plain lines elsewhere.
    #[default]
    Auto,
    /// A line for each step, with the machine's name before it.
    Plain,
    /// A JSON object for each event.
    Json,
}

impl ProgressMode {
    /// Plain lines where nobody sees a redrawn one.
    pub(super) fn settled(self, terminal: bool) -> Self {
        match self {
            Self::Auto if !terminal => Self::Plain,
            settled => settled,
        }
    }
}

/// Shows how the work on one machine goes. Without [`Line::done`] or [`Line::failed`] it vanishes.
pub struct Line<'a> {
    ui: &'a Ui,
    machine: String,
    bar: Option<ProgressBar>,
}

impl<'a> Line<'a> {
    pub(super) fn new(ui: &'a Ui, machine: &str) -> Self {
        let bar = (ui.mode == ProgressMode::Auto).then(|| {
            let bar = ui.bars().add(ProgressBar::new_spinner());
            bar.set_style(style("{spinner} {prefix}: {wide_msg} {elapsed}"));
            bar.set_prefix(machine.to_owned());
            bar.enable_steady_tick(TICK);
            bar
        });
        Self {
            ui,
            machine: machine.to_owned(),
            bar,
        }
    }

    /// The work ended well; `text` says with what.
    pub fn done(self, text: &str) {
        self.tell("done", text);
        if let Some(bar) = &self.bar {
            bar.set_style(style("{prefix}: {wide_msg} {elapsed}"));
            bar.finish_with_message(printable::line(text).into_owned());
        }
    }

    /// The work failed; the error itself is shown by whoever collects it.
    pub fn failed(self, error: &CommandError) {
        self.tell("failed", &error.message);
        if let Some(bar) = &self.bar {
            bar.set_style(style("{prefix}: failed {elapsed}"));
            bar.finish();
        }
    }

    fn tell(&self, event: &str, text: &str) {
        match self.ui.mode {
            ProgressMode::Auto => {}
            ProgressMode::Plain if event == "failed" => {}
            ProgressMode::Plain if event == "warning" => self.warning(text),
            ProgressMode::Plain => {
                let text = printable::line(text);
                self.ui.aside(&format!("{}: {text}\n", self.machine));
            }
            ProgressMode::Json => self.ui.event(&json!({
                "event": event,
                "machine": self.machine,
                "text": text,
            })),
        }
    }

    fn warning(&self, text: &str) {
        let text = printable::line(text);
        self.ui
            .aside(&format!("{}: warning: {text}\n", self.machine));
    }
}

impl Report for Line<'_> {
    fn step(&self, text: &str) {
        self.tell("step", text);
        if let Some(bar) = &self.bar {
            bar.set_message(printable::line(text).into_owned());
        }
    }

    fn warn(&self, text: &str) {
        self.tell("warning", text);
        if self.bar.is_some() {
            self.warning(text);
        }
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar
            && !bar.is_finished()
        {
            bar.finish_and_clear();
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}
