use std::io::Write;

use tabwriter::TabWriter;

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
    use super::tabulated;

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
