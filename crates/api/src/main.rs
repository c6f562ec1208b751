//! The binary; see [`api::cli`].

use std::process::ExitCode;

#[actix_web::main]
async fn main() -> ExitCode {
    api::cli::main().await
}
