/// The `Key:   value` lines of a table for people, one block for each thing.
///
/// A block begins with a line of the first key; what comes before it is somebody else's.
pub fn blocks<'a>(text: &'a str, first: &str) -> Vec<Vec<(&'a str, &'a str)>> {
    let mut blocks: Vec<Vec<(&str, &str)>> = Vec::new();
    for line in text.lines() {
        let Some((key, value)) = line.split_once(':') else {
            continue;
        };
        let (key, value) = (key.trim(), value.trim());
        if key == first {
            blocks.push(Vec::new());
        }
        if let Some(block) = blocks.last_mut() {
            block.push((key, value));
        }
    }
    blocks
}

/// The first value of any of these keys, in the order of the block; empty ones do not count.
pub fn value<'a>(block: &[(&str, &'a str)], keys: &[&str]) -> Option<&'a str> {
    let known = |key: &str| keys.iter().any(|known| known.eq_ignore_ascii_case(key));
    block
        .iter()
        .find(|(key, value)| known(key) && !value.is_empty())
        .map(|(_, value)| *value)
}
