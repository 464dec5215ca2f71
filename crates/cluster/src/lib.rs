//! A cluster of machines from one file: what the file says, what differs from what is there, and
//! which machines the cluster owns.
//!
//! [`Cluster::read`] turns a file into a [`Cluster`], or into all that is wrong with it.
//! [`Plan::new`] is a pure function of the cluster and of what is [`There`]. [`Clusters`] keeps, in
//! the machines' store, which machines a cluster owns and until when it is wanted; whoever changes
//! a cluster holds its [`ClusterGuard`]. [`Work`] does one step of a plan. [`Health`] judges what a
//! cluster's machines say, [`together`] finds those of a cluster that no file made. This crate draws no
//! progress and knows no flags of commands; it makes no machine itself, that is the lifecycle's.

mod bounds;
mod error;
mod file;
mod guard;
mod health;
mod journal;
mod look;
mod model;
mod plan;
mod together;
mod work;

pub use error::ClusterError;
pub use file::{Problem, Variables, schema};
pub use guard::{ClusterGuard, Clusters};
pub use health::{Health, MemberHealth, Signs};
pub use journal::{ClusterJournal, Lease, Owned};
pub use look::look;
pub use model::{Cluster, Member, Orchestrator, Roles};
pub use plan::{Action, Found, Plan, Seen, Step, There};
pub use together::{left_behind, orchestrator, roles, together};
pub use work::{Done, Work, remove_machine};
