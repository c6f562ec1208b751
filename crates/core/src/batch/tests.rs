use std::sync::Mutex as StdMutex;

use tokio::sync::Semaphore;

use super::*;

/// Work that notes its batches, and waits for a permit for each.
#[derive(Clone)]
struct Desk {
    batches: Arc<StdMutex<Vec<Vec<u32>>>>,
    permits: Arc<Semaphore>,
}

impl Desk {
    fn batcher(bounds: Bounds) -> (Self, Batcher<u8, u32, u32>) {
        let desk = Self { batches: Arc::default(), permits: Arc::new(Semaphore::new(0)) };
        let own = desk.clone();
        let batcher = Batcher::new(bounds, move |calls: Vec<u32>| {
            let desk = own.clone();
            Box::pin(async move {
                desk.batches.lock().unwrap().push(calls.clone());
                desk.permits.acquire().await.unwrap().forget();
                if calls.contains(&13) {
                    return Err(Error::not_found("thirteen"));
                }
                assert!(!calls.contains(&666), "a panic of the work");
                Ok(calls.into_iter().map(|call| call * 10).collect())
            })
        });
        (desk, batcher)
    }

    fn batches(&self) -> Vec<Vec<u32>> {
        self.batches.lock().unwrap().clone()
    }
}

fn spawn(batcher: &Batcher<u8, u32, u32>, key: u8, call: u32) -> tokio::task::JoinHandle<Result<u32>> {
    let batcher = batcher.clone();
    tokio::spawn(async move { batcher.call(key, call).await })
}

/// Lets all tasks run until they wait.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

/// The first goes alone at once; those that arrive meanwhile go together, in order and at most `size` at a time. Other keys do
/// not wait, and each caller gets its own answer.
#[tokio::test]
async fn what_arrives_meanwhile_goes_together() {
    let (desk, batcher) = Desk::batcher(Bounds { size: 3, ..Bounds::default() });
    let mut calls = Vec::new();
    for call in 1..=5 {
        calls.push(spawn(&batcher, 0, call));
        settle().await;
    }
    let other = spawn(&batcher, 1, 9);
    settle().await;
    assert_eq!(desk.batches(), [vec![1], vec![9]]);
    desk.permits.add_permits(4);
    for (call, number) in calls.into_iter().zip(1..) {
        assert_eq!(call.await.unwrap().unwrap(), number * 10);
    }
    assert_eq!(other.await.unwrap().unwrap(), 90);
    assert_eq!(desk.batches(), [vec![1], vec![9], vec![2, 3, 4], vec![5]]);
    settle().await;
    assert!(batcher.0.lanes().is_empty(), "unused keys take no memory");
}

/// A caller that goes away before its call begins is left out. One that goes away later leaves its neighbours alone.
#[tokio::test]
async fn a_caller_that_goes_away_takes_nobody_with_it() {
    let (desk, batcher) = Desk::batcher(Bounds::default());
    let first = spawn(&batcher, 0, 1);
    settle().await;
    let (gone, stays) = (spawn(&batcher, 0, 2), spawn(&batcher, 0, 3));
    settle().await;
    first.abort();
    gone.abort();
    settle().await;
    desk.permits.add_permits(1);
    settle().await;
    let late = spawn(&batcher, 0, 4);
    settle().await;
    desk.permits.add_permits(2);
    assert_eq!(stays.await.unwrap().unwrap(), 30);
    assert_eq!(late.await.unwrap().unwrap(), 40);
    assert_eq!(desk.batches(), [vec![1], vec![3], vec![4]]);
}

/// An error and a panic are the answer of each call of that batch, and of no other.
#[tokio::test]
async fn a_failed_batch_fails_its_calls_alone() {
    let (desk, batcher) = Desk::batcher(Bounds::default());
    let mut answers = Vec::new();
    for group in [[1, 0], [13, 2], [666, 3], [4, 5]] {
        let started: Vec<_> = group.into_iter().map(|call| spawn(&batcher, 0, call)).collect();
        settle().await;
        desk.permits.add_permits(2);
        for call in started {
            answers.push(call.await.unwrap().map_err(|error| error.code().name));
        }
    }
    // Of each group the first goes alone.
    let missing = codes::NOT_FOUND.name;
    let broken = codes::INTERNAL.name;
    assert_eq!(answers, [Ok(10), Ok(0), Err(missing), Ok(20), Err(broken), Ok(30), Ok(40), Ok(50)]);

    let first = spawn(&batcher, 0, 7);
    settle().await;
    let pair = [spawn(&batcher, 0, 13), spawn(&batcher, 0, 8)];
    settle().await;
    desk.permits.add_permits(2);
    assert_eq!(first.await.unwrap().unwrap(), 70);
    for call in pair {
        assert_eq!(call.await.unwrap().unwrap_err().code(), codes::NOT_FOUND);
    }
}

/// Too many are refused at once, and who waits for too long is. Neither affects who is under way.
#[tokio::test]
async fn waiting_is_bounded() {
    let (desk, batcher) = Desk::batcher(Bounds { waiting: 1, ..Bounds::default() });
    let (first, second) = (spawn(&batcher, 0, 1), spawn(&batcher, 0, 2));
    settle().await;
    assert_eq!(batcher.call(0, 3).await.unwrap_err().code(), codes::BUSY);
    desk.permits.add_permits(2);
    assert_eq!(first.await.unwrap().unwrap(), 10);
    assert_eq!(second.await.unwrap().unwrap(), 20);

    let (desk, impatient) = Desk::batcher(Bounds { patience: Duration::ZERO, ..Bounds::default() });
    let first = spawn(&impatient, 0, 1);
    settle().await;
    assert_eq!(impatient.call(0, 2).await.unwrap_err().code(), codes::BUSY);
    desk.permits.add_permits(1);
    assert_eq!(first.await.unwrap().unwrap(), 10);
    assert_eq!(desk.batches(), [vec![1]]);
}

/// If the runtime ends that runs a batch, its calls fail, and those that wait on another runtime go on.
#[test]
fn a_runtime_that_ends_takes_only_its_own_calls() {
    let (desk, batcher) = Desk::batcher(Bounds::default());
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (ending, staying) = (runtime(), runtime());
    let start = |runtime: &tokio::runtime::Runtime, call| {
        let batcher = batcher.clone();
        let call = runtime.spawn(async move { batcher.call(0, call).await });
        runtime.block_on(settle());
        call
    };
    let lost = start(&ending, 1);
    let kept = start(&staying, 2);
    drop(ending);
    desk.permits.add_permits(2);
    assert_eq!(staying.block_on(kept).unwrap().unwrap(), 20);
    assert!(staying.block_on(lost).is_err());
    assert_eq!(desk.batches(), [vec![1], vec![2]]);
}
