//! Texts, vectors and examples that follow from a seed.

use deft_core::Example;

/// Numbers without a pattern (`SplitMix64`): the same on every machine.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap_or(0)
    }

    /// A number in −1 ..< 1.
    pub(crate) fn number(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    /// The numbers from 0 in some order.
    pub(crate) fn order(&mut self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        for place in (1..count).rev() {
            order.swap(place, self.below(place + 1));
        }
        order
    }
}

/// The words of all texts; the tiny model of [`crate::tiny_t5`] knows them.
pub(crate) const WORDS: [&str; 48] = [
    "the", "film", "book", "meal", "room", "was", "good", "bad", "fine", "poor", "warm", "cold",
    "long", "short", "red", "blue", "sort", "copy", "count", "first", "last", "yes", "no", "say",
    "soup", "kite", "river", "stone", "glass", "paper", "music", "train", "cloud", "garden",
    "winter", "summer", "doctor", "farmer", "window", "bridge", "market", "letter", "silver",
    "copper", "thread", "candle", "basket", "ladder",
];

/// Texts of 3 to 40 words, most of them short.
pub(crate) fn texts(count: usize, seed: u64) -> Vec<String> {
    let mut random = Random::new(seed);
    let mut text = || {
        let limit = if random.below(8) == 0 { 38 } else { 12 };
        let length = 3 + random.below(limit);
        let words: Vec<_> = (0..length).map(|_| WORDS[random.below(WORDS.len())]).collect();
        words.join(" ")
    };
    (0..count).map(|_| text()).collect()
}

/// Texts that nobody thinks of.
pub(crate) fn odd_texts() -> Vec<String> {
    let long = "soup ".repeat(20_000);
    let odd = [
        "",
        " ",
        "\n\t\r",
        "\0",
        "a\0b",
        "🥣👩‍👩‍👧‍👦🇫🇮",
        "مرحبا بالعالم",
        "שלום",
        "日本語のテキスト",
        "e\u{301}",
        "\u{feff}bom",
        "\u{200f}\u{202e}",
        "</s> <pad>",
        "\"\\{}[]",
        "ﷺ",
        &long,
    ];
    odd.iter().map(|&text| text.to_owned()).collect()
}

/// Rows of `dimension` numbers, near one of twenty centres each.
pub(crate) fn vectors(rows: usize, dimension: usize, seed: u64) -> Vec<f32> {
    let mut random = Random::new(seed);
    let centres: Vec<f32> = (0..20 * dimension).map(|_| random.number()).collect();
    let mut numbers = Vec::with_capacity(rows * dimension);
    for _ in 0..rows {
        let centre = random.below(20) * dimension;
        let near = centres[centre..centre + dimension].iter();
        numbers.extend(near.map(|x| x + 0.5 * random.number()));
    }
    numbers
}

/// Examples whose answer is `yes` or `no` by one word of the input: what any trainer can learn.
pub(crate) fn examples(count: usize) -> Vec<Example> {
    let options = ["yes", "no"].map(str::to_owned);
    let example = |(row, text): (usize, String)| Example {
        input: format!("{} {text}", ["good", "bad"][row % 2]),
        target: Some(options[row % 2].clone()),
        options: options.to_vec(),
        gold: Some(row % 2),
        ..Example::default()
    };
    texts(count, 17).into_iter().enumerate().map(example).collect()
}
