//! What may be said of a run in cards, reports and on terminals: each sentence follows from the run's facts, so that none is
//! said of a run for which it is false.

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

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use kinsight_data::SplitRule;
    use kinsight_model::TestFacts;

    use super::*;

    fn facts() -> TrainingFacts {
        TrainingFacts {
            method: "linear".into(),
            precision: Default::default(),
            data: PathBuf::from("photos"),
            split: SplitRule::FirstHalf,
            class_names: vec!["ant".into(), "bee".into()],
            centers_per_class: 1,
            train_images: 20,
            validation_classes: 0,
            test: TestFacts { images: 30, classes: 3, queries: 30, gallery: 30, ..TestFacts::default() },
            epochs: 10,
            epochs_asked: 10,
            steps: 50,
            kept_step: 50,
        }
    }

    #[test]
    fn a_plain_run() {
        let facts = facts();
        let story = RunStory(&facts);
        assert_eq!(story.duration(), "for 10 epochs");
        assert_eq!(story.trained_on(), "20 images of 2 classes");
        assert_eq!(story.measured_on(), "3 classes that training never saw");
        assert!(story.overlap().starts_with("No class is in both parts"));
        assert_eq!(story.search(), "every image searching among the others");
        assert_eq!(story.state(), "after the last step");
        assert_eq!(story.groups(), None);
    }

    #[test]
    fn a_run_that_stopped_early_in_an_earlier_state() {
        let facts = TrainingFacts { epochs: 1, steps: 7, kept_step: 5, validation_classes: 1, ..facts() };
        assert_eq!(RunStory(&facts).duration(), "for 1 of 10 epochs (stopped early, after 7 steps)");
        assert_eq!(RunStory(&facts).state(), "in the state after step 5, the best on the validation classes,");
    }

    #[test]
    fn overlapping_classes_are_never_said_to_be_unseen() {
        let overlap = |seen_classes, validation_classes| TrainingFacts {
            test: TestFacts { seen_classes, ..facts().test },
            validation_classes,
            ..facts()
        };
        assert_eq!(RunStory(&overlap(2, 0)).measured_on(), "3 classes, 2 of them also trained on");
        assert_eq!(RunStory(&overlap(3, 1)).measured_on(), "3 classes, all of them also trained or selected on");
        let sentence = RunStory(&overlap(2, 0)).overlap();
        assert_eq!(sentence, "2 of the 3 test classes were also trained on: the figures say less about new classes.");
    }

    #[test]
    fn roles_distractors_and_groups_are_told() {
        let test = TestFacts { queries: 10, gallery: 20, distractors: 4, groups: 2, ..facts().test };
        let facts = TrainingFacts { test, ..facts() };
        let story = RunStory(&facts);
        assert_eq!(
            story.search(),
            "10 queries searching among 20 gallery images, 4 of them distractors without a class"
        );
        assert!(story.groups().is_some_and(|sentence| sentence.contains("all 2 groups")));
    }
}
