//! Runs the service.

use bookmarks::app;
use groundwork_web::{
    service::StartError,
    service::settings::{Environment, ServiceSettings},
};

#[actix_web::main]
async fn main() -> Result<(), StartError> {
    let settings: ServiceSettings = Environment::of_process().read()?;
    let service = app::service(&settings);
    service.log()?;
    app::serve(&service).await
}
