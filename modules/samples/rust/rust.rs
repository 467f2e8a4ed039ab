//! rust: a module in Rust, of rustc alone. It has no unsafe line: those are in border.rs.
//!
//!     load_module modules/rust.so;
//!     server {
//!         ...
//!         method words;   # {"text": "a b a", "most": 1} -> {"words": 3, "most": [{"word": "a", …}]}
//!         method cut;     # {"text": "hello", "at": 2} -> {"before": "he", "behind": "llo"}
//!     }
//!
//!     rustc --edition 2021 --crate-type cdylib -O -o rust.so rust.rs
#![deny(unsafe_code)]

#[allow(unsafe_code)]
mod border;

use border::{Answered, Method, Request, Text};
use std::collections::HashMap;

// ---- words: in a thread of the pool, as it may take a while ----

params! {
    struct Words {
        text: Text { required: true, max: 1_000_000 },
        most: i64 { fallback: c!("10"), min: 1, max: 100, summary: c!("How many are told.") },
        longer_than: i64 { min: 0, max: 1000, summary: c!("Shorter words do not count.") },
    }
}

struct Counts {
    all: usize,
    most: Vec<(String, usize)>,
}

fn count(text: &str, most: usize, longer_than: usize) -> Counts {
    let mut counts = HashMap::new();
    let words = text.split_whitespace().filter(|word| word.chars().count() > longer_than);

    for word in words {
        *counts.entry(word.to_lowercase()).or_insert(0) += 1;
    }
    let all = counts.values().sum();
    let mut most_used: Vec<_> = counts.into_iter().collect();
    most_used.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    most_used.truncate(most);
    Counts { all, most: most_used }
}

fn words(args: &Words, req: Request) -> Answered {
    let text = args.text.as_str().to_owned();
    let (most, longer_than) = (args.most as usize, args.longer_than as usize);

    req.offload(
        move || count(&text, most, longer_than),
        |counts, req| {
            req.object("words", |out| {
                out.integer("words", counts.all as i64);
                out.array("most", |out| {
                    for (word, times) in &counts.most {
                        out.object(|out| {
                            out.text("word", word);
                            out.integer("times", *times as i64);
                        });
                    }
                });
            })
        },
    )
}

// ---- cut: on the loop ----

params! {
    struct Cut {
        text: Text { required: true, max: 1000 },
        at: i64 { required: true, min: 0, max: 1000 },
    }
}

/// Slicing panics within a character, and an `at` behind the end is told apart: a mistake costs its
/// own request, which is answered `internal_error`.
fn cut(args: &Cut, req: Request) -> Answered {
    let (text, at) = (args.text.as_str(), args.at as usize);

    if at > text.len() {
        return req.fail("too_short", &format!("the text has {} bytes", text.len()));
    }
    req.object("cut", |out| {
        out.text("before", &text[..at]);
        out.text("behind", &text[at..]);
    })
}

static METHODS: [Method; 3] = [
    Method {
        name: c!("words"),
        handler: handler!(words: Words),
        summary: c!("Counts words, and tells which are used most."),
        read_only: true,
        idempotent: true,
        ..Method::takes::<Words>()
    },
    Method {
        name: c!("cut"),
        handler: handler!(cut: Cut),
        summary: c!("Cuts a text in two."),
        read_only: true,
        idempotent: true,
        ..Method::takes::<Cut>()
    },
    Method::ZERO,
];

module!("rust", "1.0.0", "Looks at texts, in Rust.", METHODS);
