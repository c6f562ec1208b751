use groundwork_core::{Controller, Error, ListQuery, PageRequest, error::codes};
use groundwork_testkit::both_databases;

use crate::book::{Library, NewBook, shelf};

/// `Db::write` keeps what ends in `Ok`, nothing of what ends in `Err`, and passes the error on.
#[both_databases]
async fn write_commits_on_ok_and_rolls_back_on_err(library: &Library) {
    let db = &library.db;
    let new = || NewBook { title: "Emma".into(), isbn: None, pages: 1 };
    let total = async || {
        let query = ListQuery::default();
        Controller::list(&shelf(1), db.reader(), &query, PageRequest::default()).await.unwrap().total
    };
    let refused: Result<(), Error> = db
        .write(async |tx| {
            Controller::create(&shelf(1), tx, new()).await?;
            Err(codes::CONFLICT.error("no room"))
        })
        .await;
    assert_eq!(refused.unwrap_err().code(), codes::CONFLICT);
    assert_eq!(total().await, 0);
    // As a background task calls it: the future is `Send`, and the error type is the caller's.
    let owned = db.clone();
    let task = async move {
        let book = owned.write(async |tx| Controller::create(&shelf(1), tx, new()).await).await?;
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(book.title)
    };
    assert_eq!(tokio::spawn(task).await.unwrap().unwrap(), "Emma");
    assert_eq!(total().await, 1);
}
