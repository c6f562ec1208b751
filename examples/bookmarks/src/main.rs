//! Runs the service.

use bookmarks::app;
use groundwork_web::{
    settings::{Environment, ServiceSettings},
    startup::StartError,
};

#[actix_web::main]
async fn main() -> Result<(), StartError> {
    let settings = ServiceSettings::read(&Environment::of_process())?;
    let startup = app::startup(&settings);
    startup.log()?;
    app::serve(&startup).await
}
