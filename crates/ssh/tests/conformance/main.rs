//! What both backends must do, on real sshds.

#![allow(clippy::panic, clippy::print_stdout, clippy::unwrap_used)]

mod commands;
mod endings;
mod host;
#[path = "../lab/mod.rs"]
mod lab;
mod login;
mod root;

use std::future::Future;
use std::time::Duration;

use lab::Lab;
use rmachine_driver::{NoSecrets, SshEndpoint};
use rmachine_ssh::{Backend, Output, Privilege, Run, Ssh, SshError, connect};

const LIMIT: Duration = Duration::from_secs(60);

/// Makes two tests of each function, one a backend.
macro_rules! conformance {
    ($($subject:ident: $($name:ident)*;)*) => {
        mod system {
            $($(#[test] fn $name() {
                crate::block_on(crate::$subject::$name(rmachine_ssh::Backend::System));
            })*)*
        }
        #[cfg(feature = "native")]
        mod native {
            $($(#[test] fn $name() {
                crate::block_on(crate::$subject::$name(rmachine_ssh::Backend::Native));
            })*)*
        }
    };
}

conformance! {
    commands:
        a_script_gives_its_status_and_bytes
        a_script_reads_nothing_and_says_much
        a_file_arrives_whole_with_its_mode
        a_file_that_cannot_be_written_says_why
        many_commands_share_one_connection
        one_session_at_a_time_is_enough
    ;
    endings:
        a_command_that_takes_too_long_is_ended_on_the_host
        a_command_that_nobody_waits_for_is_ended_on_the_host
        a_lost_connection_is_noticed
        closing_leaves_nothing_behind
    ;
    login:
        every_type_of_key_logs_in
        a_key_that_the_host_does_not_know_is_refused
        an_unknown_user_is_refused
        a_key_file_that_ssh_would_not_use_is_named
        a_locked_key_needs_its_passphrase_or_the_agent
        the_agent_alone_is_enough
    ;
    host:
        the_first_host_key_is_pinned_and_another_refused
        a_host_with_several_keys_shows_the_pinned_one
        an_unreachable_host_says_why
        a_booting_host_is_waited_for
        ssh_config_applies_where_it_should
    ;
    root:
        root_without_a_password
        root_with_a_password
        root_that_is_refused
    ;
}

fn block_on(test: impl Future<Output = Option<()>>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(test);
}

async fn open<'a>(lab: &Lab, backend: Backend) -> Box<dyn Ssh + 'a> {
    connect(&lab.endpoint(), &lab.options(backend), &NoSecrets)
        .await
        .unwrap()
}

async fn refusal(lab: &Lab, endpoint: &SshEndpoint, backend: Backend) -> SshError {
    match connect(endpoint, &lab.options(backend), &NoSecrets).await {
        Err(error) => error,
        Ok(_) => panic!("connected"),
    }
}

async fn run(ssh: &dyn Ssh, script: &str) -> Output {
    try_run(ssh, script, Privilege::Login).await.unwrap()
}

async fn try_run(ssh: &dyn Ssh, script: &str, privilege: Privilege) -> Result<Output, SshError> {
    ssh.run(&Run {
        step: "testing",
        script,
        privilege,
        limit: LIMIT,
    })
    .await
}
