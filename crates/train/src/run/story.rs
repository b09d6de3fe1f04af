//! What may be said of a run in cards, reports and on terminals: each sentence follows from the run's facts, so that
//! none is said of a run for which it is false.

use kinsight_model::TrainingFacts;

/// The sentences about one finished run.
#[derive(Clone, Copy, Debug)]
pub struct RunStory<'a>(pub &'a TrainingFacts);

impl RunStory<'_> {
    /// How long was trained: `for 24 epochs`, `for 2 of 10 epochs (stopped early, after 31 steps)`.
    pub fn duration(&self) -> String {
        let TrainingFacts { epochs, epochs_asked, steps, .. } = *self.0;
        match self.0.stopped_early() {
            true => {
                format!("for {epochs} of {} (stopped early, after {})", of(epochs_asked, "epoch"), of(steps, "step"))
            }
            false => format!("for {}", of(epochs, "epoch")),
        }
    }

    /// What was trained on: `480 images of 24 classes`.
    pub fn trained_on(&self) -> String {
        format!("{} of {}", of(self.0.train_images, "image"), classes(self.0.class_names.len()))
    }

    /// The classes that were measured on, and whether training saw them: `24 classes that training never saw`.
    pub fn measured_on(&self) -> String {
        let (all, seen) = (self.0.test.classes, self.0.test.seen_classes);
        match seen {
            0 => format!("{} that training never saw", classes(all)),
            _ if seen >= all => format!("{}, all of them also {}", classes(all), self.seen()),
            _ => format!("{}, {seen} of them also {}", classes(all), self.seen()),
        }
    }

    /// The same as a sentence about the two parts of the data set.
    pub fn overlap(&self) -> String {
        match self.0.test.seen_classes {
            0 => "No class is in both parts: the figures are for classes that training never saw.".into(),
            seen => format!(
                "{seen} of the {} test classes were also {}: the figures say less about new classes.",
                self.0.test.classes,
                self.seen()
            ),
        }
    }

    /// Who searched among whom: `every image searching among the others`.
    pub fn search(&self) -> String {
        let test = &self.0.test;
        if test.is_self_search() {
            return "every image searching among the others".into();
        }
        let distractors = match test.distractors {
            0 => String::new(),
            count => format!(", {count} of them distractors without a class"),
        };
        let queries = if test.queries == 1 { "1 query".into() } else { format!("{} queries", test.queries) };
        format!("{queries} searching among {}{distractors}", of(test.gallery, "gallery image"))
    }

    /// That groups are not told apart, where there are any.
    pub fn groups(&self) -> Option<String> {
        let groups = self.0.test.groups;
        (groups > 0).then(|| {
            format!("The figures are over all {groups} groups together; `kinsight eval` measures each by itself, too.")
        })
    }

    /// Which state was measured and kept: `after the last step`.
    pub fn state(&self) -> String {
        match self.0.kept_step < self.0.steps {
            true => format!("in the state after step {}, the best on the validation classes,", self.0.kept_step),
            false => "after the last step".into(),
        }
    }

    fn seen(&self) -> &'static str {
        if self.0.validation_classes > 0 { "trained or selected on" } else { "trained on" }
    }
}

fn of(count: impl std::fmt::Display, what: &str) -> String {
    let count = count.to_string();
    let plural = if count == "1" { "" } else { "s" };
    format!("{count} {what}{plural}")
}

fn classes(count: usize) -> String {
    if count == 1 { "1 class".into() } else { format!("{count} classes") }
}
