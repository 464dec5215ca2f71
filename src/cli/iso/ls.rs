use clap::ValueEnum;
use rmachine_iso::{Cache, Listed};
use serde_json::{Value, json};

use super::megabytes;
use crate::cli::App;
use crate::error::{CommandError, Status};
use crate::ui::{row, tabulated};

/// As many digits of a checksum as tell ISOs apart.
const SHORT: usize = 12;

/// List the ISOs in the cache
#[derive(clap::Args)]
pub struct Args {
    /// Print the names and no more
    #[arg(short, long)]
    quiet: bool,

    /// How the list is shown
    #[arg(short, long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Format {
    #[default]
    Table,
    Json,
}

/// Lists the ISOs.
pub fn run(args: &Args, app: &App, cache: &Cache) -> Result<Status, CommandError> {
    let listed = cache.list()?;
    let text = match args.format {
        _ if args.quiet => listed.iter().map(|(name, _)| format!("{name}\n")).collect(),
        Format::Table => table(&listed),
        Format::Json => {
            let rows: Vec<Value> = listed.iter().map(object).collect();
            format!("{}\n", Value::Array(rows))
        }
    };
    app.ui.data(&text)?;
    Ok(Status::OK)
}

fn table(listed: &[Listed]) -> String {
    let mut lines = "NAME\tSIZE\tLABEL\tSHA256\tSOURCE\tERRORS\n".to_owned();
    for (name, iso) in listed {
        let line = match iso {
            Ok(iso) => {
                let sum = iso.sha256.map(|sum| sum.to_string()).unwrap_or_default();
                let source = iso.source.as_deref().unwrap_or("put there by hand");
                [
                    megabytes(iso.size),
                    iso.label.clone(),
                    sum.chars().take(SHORT).collect(),
                    source.to_owned(),
                    String::new(),
                ]
            }
            Err(error) => {
                let none = String::new;
                [none(), none(), none(), none(), error.to_string()]
            }
        };
        let cells = line.iter().map(String::as_str);
        lines.push_str(&row([name.as_str()].into_iter().chain(cells)));
    }
    tabulated(&lines)
}

fn object((name, iso): &Listed) -> Value {
    match iso {
        Ok(iso) => json!({
            "Name": name.as_str(),
            "Path": iso.path,
            "Size": iso.size,
            "Label": iso.label,
            "Sha256": iso.sha256.map(|sum| sum.to_string()),
            "Source": iso.source,
            "Error": "",
        }),
        Err(error) => json!({"Name": name.as_str(), "Error": error.to_string()}),
    }
}
