use std::fmt;

use super::tree::Place;

/// What is wrong with a cluster file, and where.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
    /// The field, such as `groups.node.count`; empty for the file as a whole.
    pub field: String,
    /// What is wrong, and what is allowed.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.line, self.column)?;
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.message)
    }
}

/// Gathers what is wrong; the lines are looked up at the end, for those files alone that need it.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    found: Vec<(Place, String)>,
    /// Places at which nothing more can be said.
    broken: Vec<Place>,
}

impl Findings {
    pub(crate) fn add(&mut self, place: &Place, message: impl Into<String>) {
        if !self.broken.contains(place) {
            self.found.push((place.clone(), message.into()));
        }
    }

    /// As [`Findings::add`], where what follows from it is not worth telling.
    pub(crate) fn add_alone(&mut self, place: &Place, message: impl Into<String>) {
        self.add(place, message);
        self.broken.push(place.clone());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// The findings in the order of the text.
    pub(crate) fn into_problems(self, text: &str) -> Vec<Problem> {
        let problem = |(place, message): (Place, String)| {
            let (line, column) = place.locate(text);
            Problem {
                line,
                column,
                field: place.field(),
                message,
            }
        };
        let mut problems: Vec<Problem> = self.found.into_iter().map(problem).collect();
        problems.sort_by_key(|problem| (problem.line, problem.column));
        problems.dedup();
        problems
    }
}

/// `; did you mean "count"?` where one of the known words is close, else which words there are.
pub(crate) fn meant<'a>(word: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    let distance = |candidate: &str| strsim::damerau_levenshtein(word, candidate);
    let near = known
        .clone()
        .map(|candidate| (distance(candidate), candidate))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, candidate)| *distance <= (candidate.len() / 3).max(1));
    match near {
        Some((_, candidate)) => format!("; did you mean {candidate:?}?"),
        None => format!("; known are: {}", known.collect::<Vec<_>>().join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::meant;

    #[test]
    fn names_the_near_word_or_all() {
        let known = ["count", "names", "roles", "docker-memory"];
        let meant = |word| meant(word, known.into_iter());
        assert_eq!(meant("cuont"), "; did you mean \"count\"?");
        assert_eq!(meant("docker-memry"), "; did you mean \"docker-memory\"?");
        assert_eq!(
            meant("image"),
            "; known are: count, names, roles, docker-memory"
        );
    }
}
