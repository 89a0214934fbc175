"""A task of one's own, with its corpus and its metric, each an extension: are these words many or few?"""

import sys
from typing import ClassVar, Literal

import zoo
from zoo.data.corpora.grammar_sentences import GrammarSentences, GrammarSentencesSpec
from zoo.kinds import CORPUS, METRIC, TASK
from zoo.metrics.classification import ClassificationMetric, ClassificationMetricSpec
from zoo.tasks.task import Refusal
from zoo.tasks.text_classification import TextClassification, TextClassificationSpec


class WordsSpec(GrammarSentencesSpec):  # n_train, n_dev, n_test and seed are inherited
    type: Literal["counted_words"] = "counted_words"
    fields: ClassVar = ("words", "label")


@CORPUS.register("counted_words", spec=WordsSpec)
class Words(GrammarSentences):
    def rows(self, split, *, bad_lines):
        for row in super().rows(split, bad_lines=bad_lines):
            yield {"words": row["tokens"], "label": "many" if len(row["tokens"]) > 10 else "few"}


class SureSpec(ClassificationMetricSpec):
    type: Literal["surely_right"] = "surely_right"


@METRIC.register("surely_right", spec=SureSpec)
class Sure(ClassificationMetric):
    def update(self, answers, examples):
        unsure = Refusal("unsure")  # counts as wrong
        super().update(
            [each if max(each.probabilities.values()) > 0.7 else unsure for each in answers], examples
        )


class ManyOrFewSpec(TextClassificationSpec):
    type: Literal["many_or_few"] = "many_or_few"
    reads: ClassVar = ("words", "label")


@TASK.register("many_or_few", spec=ManyOrFewSpec)
class ManyOrFew(TextClassification):
    def texts_of(self, row):
        return [" ".join(row["words"])]


if __name__ == "__main__":
    task = "task={type: many_or_few, tokenizer: words, data: {type: counted_words, n_train: 300, n_dev: 40, n_test: 9}}"
    steps = f"training.max_steps={sys.argv[1] if len(sys.argv) > 1 else 200}"
    own = (task, "task.metric=surely_right", "model.head.n_classes=2", steps)
    run = zoo.load("text_classifier_small", *own, scale="tiny")
    results = zoo.evaluate(zoo.train(run, "many_or_few"))
    print(f"surely right: {results['accuracy']:.1f} %")
    print(zoo.predict("many_or_few", [{"words": ["the", "cat", "sees", "a", "dog", "."]}])[0])
