//! The two entry points: base64 text and the bounded worker.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use super::*;

#[test]
fn base64_is_read_in_all_its_spellings() {
    let bytes = jpeg(&busy(40, 30));
    let standard = STANDARD.encode(&bytes);
    let wrapped =
        standard.as_bytes().chunks(76).map(|line| String::from_utf8_lossy(line) + "\r\n").collect::<String>();
    let spellings = [
        STANDARD_NO_PAD.encode(&bytes),
        URL_SAFE_NO_PAD.encode(&bytes),
        format!("data:image/jpeg;base64,{standard}"),
        format!(" \n DATA:image/png;charset=utf-8;BASE64,\t{wrapped}"),
        format!("data:;base64,{standard}"),
        wrapped,
        standard,
    ];
    for text in spellings {
        assert_eq!(from_base64(&text, &LIMITS), Ok(bytes.clone()));
    }
    for text in [
        "",
        " ",
        "data:",
        "data:image/png,abcd",
        "data:image/png;base64",
        "data:image/png;base64,",
        "a",
        "äöü=",
        "ab=c",
        "{}",
    ] {
        assert_eq!(from_base64(text, &LIMITS), Err(ImageError::NotBase64), "{text:?}");
    }
}

#[test]
fn base64_is_measured_before_it_is_decoded() {
    for length in 1..40 {
        for text in [STANDARD.encode(vec![7; length]), STANDARD_NO_PAD.encode(vec![7; length])] {
            assert!(from_base64(&text, &Limits { max_bytes: length, ..LIMITS }).is_ok());
            let less = Limits { max_bytes: length - 1, ..LIMITS };
            assert_eq!(from_base64(&text, &less), Err(ImageError::TooManyBytes { max: length - 1 }));
        }
    }
}

#[tokio::test]
async fn the_worker_renders_and_reports_panics_as_broken() {
    let worker = ImageWorker::new(1, 1, LIMITS).expect("a worker");
    assert!(worker.render(jpeg(&quarters(40, 40))).await.is_ok());
    assert_eq!(worker.render(b"text".to_vec()).await, Err(RenderError::Image(ImageError::NotAnImage)));
    let result = worker.run::<(), _>(|| panic!("a decoder's bug")).await;
    assert!(matches!(result, Err(RenderError::Image(ImageError::Broken(_)))), "{result:?}");
    assert!(worker.render(jpeg(&quarters(40, 40))).await.is_ok());
}

#[tokio::test]
async fn a_full_queue_is_busy_and_a_caller_who_left_frees_its_place() {
    let worker = ImageWorker::new(1, 1, LIMITS).expect("a worker");
    let release = Arc::new(AtomicBool::new(false));
    let gate = Arc::clone(&release);
    let holder = worker.clone();
    let first = tokio::spawn(async move {
        let job = move || {
            while !gate.load(Ordering::Acquire) {
                std::thread::yield_now();
            }
            Ok(())
        };
        holder.run(job).await
    });
    let waiting = worker.clone();
    let second = tokio::spawn(async move { waiting.run(|| Ok(())).await });
    while worker.places_left() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(worker.run(|| Ok(())).await, Err(RenderError::Busy));
    second.abort();
    assert!(second.await.is_err());
    let waiting = worker.clone();
    let third = tokio::spawn(async move { waiting.run(|| Ok(3)).await });
    while worker.places_left() > 0 {
        tokio::task::yield_now().await;
    }
    release.store(true, Ordering::Release);
    assert_eq!(ok(first.await), Ok(()));
    assert_eq!(ok(third.await), Ok(3));
}
