/// Where progress goes: the program draws it, a library only tells it.
///
/// Texts are sentences without a full stop, in the present ("creating the container").
pub trait Report: Send + Sync {
    /// A step begins; the step before it, if any, has ended well.
    fn step(&self, text: &str);

    /// Something a person should know that stops nothing.
    fn warn(&self, text: &str);
}

/// Tells nobody.
pub struct Silent;

impl Report for Silent {
    fn step(&self, _text: &str) {}
    fn warn(&self, _text: &str) {}
}
