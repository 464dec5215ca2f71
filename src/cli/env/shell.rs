//! How each shell sets and unsets a variable, so that its value arrives byte for byte.
//!
//! The output is read in two ways: whole (`eval "$(rmachine env n)"`, `rmachine env n | source`)
//! or split into words and joined by single spaces (`eval $(rmachine env n)`). Values must survive
//! both. So where a value holds what splitting or file name expansion would touch (runs of blanks,
//! line breaks, `*`, `?`, `[`), it is written with escapes that keep those characters out of the
//! text.

use std::str::FromStr;

/// A shell, by the language that it speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Shell {
    /// bash and zsh: a POSIX shell that knows `$'…'`.
    Bash,
    /// The command prompt of Windows.
    Cmd,
    /// Emacs Lisp.
    Emacs,
    /// fish.
    Fish,
    /// PowerShell.
    Powershell,
    /// Any POSIX shell.
    Posix,
    /// tcsh and csh.
    Tcsh,
}

impl FromStr for Shell {
    type Err = UnknownShell;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_suffix(".exe").unwrap_or(text) {
            "bash" | "zsh" => Ok(Self::Bash),
            "sh" | "dash" | "ash" | "ksh" | "ksh93" | "mksh" | "oksh" | "yash" => Ok(Self::Posix),
            "fish" => Ok(Self::Fish),
            "csh" | "tcsh" => Ok(Self::Tcsh),
            "cmd" => Ok(Self::Cmd),
            "powershell" | "pwsh" => Ok(Self::Powershell),
            "emacs" => Ok(Self::Emacs),
            _ => Err(UnknownShell(text.to_owned())),
        }
    }
}

impl Shell {
    /// The line that sets a variable, with its line end.
    ///
    /// # Errors
    /// [`Unspeakable`] for a value that this shell cannot take.
    pub fn set(self, name: &str, value: &str) -> Result<String, Unspeakable> {
        let value = match self {
            Self::Bash => bash_quoted(value),
            Self::Posix => posix_quoted(value),
            Self::Fish => fish_quoted(value),
            Self::Emacs => lisp_quoted(value),
            Self::Powershell => powershell_quoted(value),
            Self::Tcsh | Self::Cmd if value.contains(['\n', '\r']) => {
                return Err(Unspeakable { shell: self });
            }
            Self::Tcsh => tcsh_quoted(value),
            // The FOR loop of the hint runs each line after special characters were looked for.
            Self::Cmd => value.to_owned(),
        };
        Ok(match self {
            Self::Bash | Self::Posix => format!("export {name}={value}\n"),
            Self::Fish => format!("set -gx {name} {value};\n"),
            Self::Tcsh => format!("setenv {name} {value};\n"),
            Self::Cmd => format!("SET {name}={value}\n"),
            Self::Powershell => format!("$Env:{name} = {value}\n"),
            Self::Emacs => format!("(setenv \"{name}\" {value})\n"),
        })
    }

    /// The line that unsets a variable, with its line end.
    pub fn unset(self, name: &str) -> String {
        match self {
            Self::Bash | Self::Posix => format!("unset {name}\n"),
            Self::Fish => format!("set -e {name};\n"),
            Self::Tcsh => format!("unsetenv {name};\n"),
            Self::Cmd => format!("SET {name}=\n"),
            Self::Powershell => format!("Remove-Item Env:\\\\{name}\n"),
            Self::Emacs => format!("(setenv \"{name}\" nil)\n"),
        }
    }

    /// Two comment lines that say how this command's output is put into force; nothing when an
    /// argument holds what could end the comment.
    pub fn hint(self, command: &[String]) -> String {
        let odd = |c: char| c.is_control() || is_glob(c);
        if command.iter().any(|word| word.contains(odd)) {
            return String::new();
        }
        let command = self.command_line(command);
        let (leader, how) = match self {
            Self::Bash | Self::Posix => ("#", format!("eval $({command})")),
            Self::Fish => ("#", format!("eval ({command})")),
            // `:` is a command in tcsh and would run what stands in backquotes.
            Self::Tcsh => (":", tcsh_single_quoted(&format!("eval `{command}`"))),
            Self::Cmd => (
                "REM",
                format!("\t@FOR /f \"tokens=*\" %i IN ('{command}') DO @%i"),
            ),
            Self::Powershell => ("#", format!("& {command} | Invoke-Expression")),
            Self::Emacs => (
                ";;",
                format!(
                    "(with-temp-buffer (shell-command {} (current-buffer)) (eval-buffer))",
                    lisp_quoted(&command)
                ),
            ),
        };
        format!("{leader} Run this command to configure your shell: \n{leader} {how}\n")
    }

    fn command_line(self, command: &[String]) -> String {
        let quoted = |word: &String| match self {
            Self::Cmd | Self::Powershell if word.contains([' ', '\\']) => format!("\"{word}\""),
            Self::Cmd | Self::Powershell => word.clone(),
            _ => shlex::try_quote(word).map_or_else(|_| word.clone(), Into::into),
        };
        command.iter().map(quoted).collect::<Vec<_>>().join(" ")
    }
}

/// Double quotes as docker-machine writes them, or `$'…'` where splitting would harm.
fn bash_quoted(value: &str) -> String {
    if survives_splitting(value) {
        return double_quoted(value, &['\\', '"', '$', '`']);
    }
    let escaped = escaped(value, |c| match c {
        '\\' | '\'' => Some(format!("\\{c}")),
        c if c.is_control() && c.is_ascii() || c == ' ' || is_glob(c) => Some(octal(c)),
        _ => None,
    });
    format!("$'{escaped}'")
}

/// As for bash; with the help of `printf` where bash has `$'…'`.
fn posix_quoted(value: &str) -> String {
    // A command substitution takes line breaks at the end away.
    if survives_splitting(value) || value.ends_with('\n') {
        return double_quoted(value, &['\\', '"', '$', '`']);
    }
    format!("\"$(printf '{}')\"", for_printf(value))
}

fn fish_quoted(value: &str) -> String {
    // Fish splits at line breaks only, and knows `\n` outside of quotes only.
    double_quoted(value, &['\\', '"', '$']).replace('\n', "\"\\n\"")
}

/// tcsh changes more of what is split than its quotes show: `${x}` becomes `$x`, `{}` goes.
fn tcsh_quoted(value: &str) -> String {
    if survives_splitting(value) && value.chars().all(|c| c == ' ' || is_plain(c)) {
        return format!("\"{value}\"");
    }
    format!("\"`printf '{}'`\"", for_printf(value))
}

fn tcsh_single_quoted(value: &str) -> String {
    let escaped = escaped(value, |c| match c {
        '\'' => Some("'\\''".to_owned()),
        '!' => Some("\\!".to_owned()),
        _ => None,
    });
    format!("'{escaped}'")
}

fn powershell_quoted(value: &str) -> String {
    let escaped = escaped(value, |c| match c {
        '\n' => Some("`n".to_owned()),
        '\r' => Some("`r".to_owned()),
        // PowerShell takes typographic quotes for quotes.
        '`' | '$' | '"' | '\u{201c}' | '\u{201d}' | '\u{201e}' => Some(format!("`{c}")),
        _ => None,
    });
    format!("\"{escaped}\"")
}

fn lisp_quoted(value: &str) -> String {
    double_quoted(value, &['\\', '"'])
}

fn double_quoted(value: &str, special: &[char]) -> String {
    let escaped = escaped(value, |c| special.contains(&c).then(|| format!("\\{c}")));
    format!("\"{escaped}\"")
}

/// The format that makes `printf` print the value: octal for all that could be special to the
/// shell or to `printf`.
fn for_printf(value: &str) -> String {
    escaped(value, |c| {
        let plain = is_plain(c) && !matches!(c, '%' | '-');
        (!plain).then(|| octal(c))
    })
}

/// Whether a character is special to no shell.
fn is_plain(c: char) -> bool {
    !c.is_ascii() || c.is_ascii_alphanumeric() || "/._:,=@+%-".contains(c)
}

fn escaped(value: &str, escape: impl Fn(char) -> Option<String>) -> String {
    let mut out = String::with_capacity(value.len() + 8);
    for c in value.chars() {
        match escape(c) {
            Some(escape) => out.push_str(&escape),
            None => out.push(c),
        }
    }
    out
}

/// An ASCII character as three octal digits.
fn octal(c: char) -> String {
    format!("\\{:03o}", u32::from(c))
}

fn survives_splitting(value: &str) -> bool {
    !(value.contains("  ") || value.contains(|c: char| c.is_ascii_control() || is_glob(c)))
}

fn is_glob(c: char) -> bool {
    matches!(c, '*' | '?' | '[')
}

/// The text names no shell that `env` knows.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "{0:?} is not a known shell: bash, zsh, sh, ksh, dash, fish, tcsh, csh, cmd, powershell, pwsh or emacs"
)]
pub struct UnknownShell(pub String);

/// A shell cannot take a value.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{shell:?} has no way to write a line break in a variable's value")]
pub struct Unspeakable {
    /// The shell.
    pub shell: Shell,
}
