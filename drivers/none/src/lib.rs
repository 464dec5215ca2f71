//! The none driver: an engine known by its URL only
