use std::io::Write;

use rmachine_core::printable;
use tabwriter::TabWriter;

/// Joins cells to a line for [`tabulated`]. What would break the table or act on a terminal is
/// escaped.
pub fn row<'a>(cells: impl IntoIterator<Item = &'a str>) -> String {
    let cells = cells.into_iter().map(printable::line);
    let mut line = cells.collect::<Vec<_>>().join("\t");
    line.push('\n');
    line
}

/// Aligns the cells of lines, which tabs separate, as docker-machine does: at least 3 spaces follow
/// a cell, and with them it is at least 5 wide.
pub fn tabulated(lines: &str) -> String {
    let mut writer = TabWriter::new(Vec::new()).minwidth(2).padding(3);
    // The writer writes to memory: nothing can fail but its own bookkeeping, and then the text as
    // it was is better than none.
    let aligned = writer
        .write_all(lines.as_bytes())
        .ok()
        .and_then(|()| writer.into_inner().ok())
        .and_then(|bytes| String::from_utf8(bytes).ok());
    aligned.unwrap_or_else(|| lines.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{row, tabulated};

    #[test]
    fn row_keeps_hostile_cells_in_their_columns() {
        assert_eq!(
            row(["n1", "\x1b[2J", "a\tb\nn2", ""]),
            "n1\t\\u{1b}[2J\ta\\tb\\nn2\t\n"
        );
    }

    #[test]
    fn aligns_like_go_with_minimum_5_and_padding_3() {
        assert_eq!(tabulated("NAME\tX\tURL\tE\n"), "NAME   X    URL   E\n");
        assert_eq!(
            tabulated("NAME\tACTIVE\tURL\tERRORS\na\t-\t\t\nlong-name\t*\ttcp://h:1\tx\n"),
            "NAME        ACTIVE   URL         ERRORS\n\
             a           -                    \n\
             long-name   *        tcp://h:1   x\n"
        );
    }
}
