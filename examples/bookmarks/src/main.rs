//! Runs the service.

use bookmarks::app;
use groundwork_web::{
    service::StartError,
    service::settings::{Environment, ServiceSettings},
};

#[actix_web::main]
async fn main() -> Result<(), StartError> {
    let settings = ServiceSettings::read(&Environment::of_process())?;
    let service = app::service(&settings);
    service.log()?;
    app::serve(&service).await
}
