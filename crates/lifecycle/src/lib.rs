//! What a machine goes through: create, start, provision, remove
