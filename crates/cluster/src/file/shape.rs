//! What a cluster file may say, as data: the file is checked against it, and the schema is made
//! from it.

use rmachine_machine::StoreKind;
use rmachine_pki::KeyType;
use rmachine_provision::EngineInstall;

/// What a field holds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// Text; a number or a truth value is taken letter by letter.
    Text,
    /// The name of a machine or of a cluster.
    Name,
    /// A whole number from 1 to this one.
    Count(i64),
    /// `true` or `false`.
    Switch,
    /// A time such as `90m`.
    Time,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// The value of a driver's flag: text, or a list of texts.
    Flag,
    /// Any number of such things.
    List(&'static Kind),
    /// Such things under names that the person chooses.
    Map(&'static Kind),
    /// Fields with fixed names.
    Record(&'static Shape),
}

/// The fields of a record.
#[derive(Debug)]
pub(crate) struct Shape {
    pub(crate) fields: &'static [Field],
}

/// A field of a record.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) required: bool,
    /// One sentence without a full stop, for the schema.
    pub(crate) help: &'static str,
}

/// The most machines of a group: a slip of the finger must not fill a rack.
pub(crate) const MOST_MACHINES: i64 = 500;

pub(crate) const ORCHESTRATORS: &[&str] = &["classic", "swarm-mode", "none"];
pub(crate) const ROLES: &[&str] = &["manager", "worker", "store"];

const TEXT: Kind = Kind::Text;
const TEXTS: Kind = Kind::List(&TEXT);
const TEXT_MAP: Kind = Kind::Map(&TEXT);
const FLAGS: Kind = Kind::Map(&Kind::Flag);

const fn field(name: &'static str, kind: Kind, help: &'static str) -> Field {
    Field {
        name,
        kind,
        required: false,
        help,
    }
}

const fn required(name: &'static str, kind: Kind, help: &'static str) -> Field {
    Field {
        name,
        kind,
        required: true,
        help,
    }
}

/// The whole file.
pub(crate) const CLUSTER: Shape = Shape {
    fields: &[
        required(
            "name",
            Kind::Name,
            "The cluster's name, with which the names of its machines begin",
        ),
        field(
            "orchestrator",
            Kind::Choice(ORCHESTRATORS),
            "What joins the engines: classic (the default), swarm-mode, or none",
        ),
        field(
            "discovery",
            TEXT,
            "URL under which a classic cluster's nodes find each other; without it the manager serves one",
        ),
        field(
            "store",
            Kind::Record(&STORE),
            "The store that rmachine starts on the machines with the role store",
        ),
        field(
            "swarm",
            Kind::Record(&SWARM),
            "Options of a classic cluster's managers and agents",
        ),
        field(
            "ttl",
            Kind::Time,
            "How long the cluster is wanted, such as 2h; 'rmachine gc' removes it afterwards",
        ),
        field("labels", TEXT_MAP, "Labels of every engine"),
        field(
            "defaults",
            Kind::Record(&DEFAULTS),
            "What holds for the machines of all groups",
        ),
        required(
            "groups",
            Kind::Map(&Kind::Record(&GROUP)),
            "Machines that are alike, under a name of their own",
        ),
    ],
};

const STORE: Shape = Shape {
    fields: &[
        required("kind", Kind::Choice(&StoreKind::NAMES), "Which store"),
        field(
            "binary",
            TEXT,
            "The program of this computer that servers run [default: the one on the PATH]",
        ),
        field(
            "image",
            TEXT,
            "The image of a registry that servers run, in place of a program",
        ),
        field(
            "package",
            Kind::Switch,
            "Whether servers run the program that the distribution of their host has",
        ),
    ],
};

const SWARM: Shape = Shape {
    fields: &[
        field(
            "strategy",
            Kind::Choice(&["spread", "binpack", "random"]),
            "How a node is chosen for a container [default: spread]",
        ),
        field(
            "host",
            TEXT,
            "Where managers listen [default: tcp://0.0.0.0:3376]",
        ),
        field(
            "image",
            TEXT,
            "Image of managers and agents in place of the one that rmachine brings",
        ),
        field(
            "opt",
            TEXTS,
            "Further options of managers, such as replication",
        ),
        field("join-opt", TEXTS, "Further options of agents"),
        field(
            "experimental",
            Kind::Switch,
            "Turn experimental features on",
        ),
    ],
};

const DEFAULTS: Shape = Shape {
    fields: &[DRIVER, FLAGS_OF_DRIVER, ENGINE_OPTIONS, LABELS],
};

const GROUP: Shape = Shape {
    fields: &[
        field(
            "roles",
            Kind::List(&Kind::Choice(ROLES)),
            "What the machines are in the cluster [default: worker]",
        ),
        field(
            "count",
            Kind::Count(MOST_MACHINES),
            "How many machines, called CLUSTER-GROUP-1 and so on [default: 1]",
        ),
        field(
            "names",
            Kind::List(&Kind::Name),
            "The machines' names, in place of a count",
        ),
        field(
            "machines",
            Kind::Map(&FLAGS),
            "The machines' names, each with flags of its own, in place of a count",
        ),
        DRIVER,
        FLAGS_OF_DRIVER,
        ENGINE_OPTIONS,
        LABELS,
    ],
};

const DRIVER: Field = field("driver", TEXT, "What makes the machines");
const FLAGS_OF_DRIVER: Field = field(
    "flags",
    FLAGS,
    "The driver's flags, as 'rmachine create -d DRIVER --help' lists them, without dashes",
);
const ENGINE_OPTIONS: Field = field(
    "engine",
    Kind::Record(&ENGINE),
    "What is asked of the engine",
);
const LABELS: Field = field("labels", TEXT_MAP, "Labels of the engine");

const ENGINE: Shape = Shape {
    fields: &[
        field("opt", TEXTS, "Options of dockerd, as name=value or name"),
        field("label", TEXTS, "Labels of the engine, as key=value"),
        field("env", TEXTS, "The engine's environment, as NAME=value"),
        field(
            "insecure-registry",
            TEXTS,
            "Registries that the engine talks to without verified TLS",
        ),
        field("registry-mirror", TEXTS, "Mirrors of the public registry"),
        field("storage-driver", TEXT, "The engine's storage driver"),
        field(
            "install",
            Kind::Choice(&EngineInstall::NAMES),
            "Where a missing engine comes from [default: auto]",
        ),
        field(
            "install-url",
            TEXT,
            "The script that 'install: script' fetches and runs",
        ),
        field(
            "tls-san",
            TEXTS,
            "Further names and addresses in the engine's certificate",
        ),
        field(
            "tls-key-type",
            Kind::Choice(&KeyType::NAMES),
            "The kind of the private keys that are made [default: ecdsa]",
        ),
    ],
};
