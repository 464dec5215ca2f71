/// What the program prints, and how it ends.
#[derive(Default)]
pub struct Answer {
    pub exit: u8,
    pub out: String,
    pub err: String,
}

const PROGRESS: &str = "0%...10%...20%...30%...40%...50%...60%...70%...80%...90%...100%\n";

impl Answer {
    pub fn nothing() -> Self {
        Self::default()
    }

    pub fn said(out: String) -> Self {
        Self {
            out,
            ..Self::default()
        }
    }

    /// As VirtualBox does while something takes its time.
    pub fn with_progress(mut self) -> Self {
        self.err.insert_str(0, PROGRESS);
        self
    }

    /// An error with nothing behind it.
    pub fn error(words: &str) -> Self {
        Self {
            exit: 1,
            out: String::new(),
            err: format!("VBoxManage: error: {words}\n"),
        }
    }

    /// An error of VirtualBox's server: its words, its code, and the component that it is of.
    pub fn refused(words: &str, code: &str, component: &str) -> Self {
        let mut answer = Self::error(words);
        answer.err += &format!(
            "VBoxManage: error: Details: code {code}, component {component}\n\
             VBoxManage: error: Context: \"…\" at line 1 of file VBoxManage.cpp\n"
        );
        answer
    }

    /// An error of VirtualBox's server that has no words.
    pub fn bare(code: &str, words: &str) -> Self {
        let mut answer = Self::error(&format!(
            "Code {code} - {words} (extended info not available)"
        ));
        answer.err += "VBoxManage: error: Context: \"…\" at line 1 of file VBoxManage.cpp\n";
        answer
    }
}

pub const NOT_FOUND: &str = "VBOX_E_OBJECT_NOT_FOUND (0x80bb0001)";
pub const WRONG_STATE: &str = "VBOX_E_INVALID_VM_STATE (0x80bb0002)";
pub const FILE_ERROR: &str = "VBOX_E_FILE_ERROR (0x80bb0004)";
pub const LOCKED: &str = "VBOX_E_INVALID_OBJECT_STATE (0x80bb0007)";
pub const IN_USE: &str = "VBOX_E_OBJECT_IN_USE (0x80bb000c)";
pub const INVALID: &str = "NS_ERROR_INVALID_ARG (0x80070057)";
pub const FAILURE: &str = "NS_ERROR_FAILURE (0x80004005)";
pub const DENIED: &str = "E_ACCESSDENIED (0x80070005)";

/// A command line that the program does not understand.
pub fn usage(exit: u8, words: &str) -> Answer {
    let head = "Oracle VirtualBox Command Line Management Interface Version 7.2.22_Debian\n\
        Copyright (C) 2005-2026 Oracle and/or its affiliates\n\n";
    Answer {
        exit,
        out: String::new(),
        err: format!(
            "{head}VBoxManage: error: {words}\n\nUsage - Oracle VirtualBox command-line interface:\n"
        ),
    }
}
