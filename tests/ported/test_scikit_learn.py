"""What scikit-learn's own examples compute, as fan-outs: the same parameters, scores and predictions."""

import numpy as np
from sklearn.base import clone
from sklearn.datasets import load_iris, make_classification
from sklearn.ensemble import BaggingClassifier
from sklearn.model_selection import GridSearchCV, ParameterGrid, StratifiedKFold
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from fanlab import pipeline, step, unmapped


def test_a_grid_search_equals_scikit_learns_on_the_same_folds():
    """https://scikit-learn.org/stable/modules/generated/sklearn.model_selection.GridSearchCV.html: SVC on iris."""
    grid = {"kernel": ["linear", "rbf"], "C": [1, 10]}
    folds = list(StratifiedKFold(5).split(*load_iris(return_X_y=True)))
    theirs = GridSearchCV(SVC(), grid, cv=folds).fit(*load_iris(return_X_y=True))

    @step
    def score(fold, candidate, data):
        (X, y), (train, test) = data, fold
        return SVC(**candidate).fit(X[train], y[train]).score(X[test], y[test])

    @step
    def mean(scores):
        return float(np.mean(scores))

    @step
    def named(candidate):
        return ", ".join(f"{name}={value!r}" for name, value in sorted(candidate.items()))

    @step
    def best(candidates, means):
        return candidates[int(np.argmax(means))]

    @pipeline
    def search(candidates):
        data = load_iris(return_X_y=True)
        means = [mean(score.map(folds, unmapped(c), data=unmapped(data))) for c in candidates]
        return best(candidates, means), means

    candidates = list(ParameterGrid(grid))
    found, means = search(candidates).load()

    assert found == theirs.best_params_
    assert candidates == theirs.cv_results_["params"]
    assert np.allclose(means, theirs.cv_results_["mean_test_score"], rtol=0, atol=1e-12)


def test_the_means_of_a_grid_are_the_groups_of_its_product():
    """The same search with one product over folds and C, grouped by C."""
    X, y = load_iris(return_X_y=True)
    folds = dict(enumerate(StratifiedKFold(5).split(X, y)))
    theirs = GridSearchCV(SVC(), {"C": [0.1, 1, 10]}, cv=list(folds.values())).fit(X, y)

    @step
    def score(C, fold, data, splits):
        (X, y), (train, test) = data, splits[fold]
        return SVC(C=C).fit(X[train], y[train]).score(X[test], y[test])

    @step
    def mean(scores):
        return float(np.mean(scores))

    @pipeline
    def search():
        scores = score.product(C=[0.1, 1, 10], fold=list(folds), data=unmapped((X, y)), splits=unmapped(folds))
        return mean.map(scores.group_by("C"))

    assert np.allclose(list(search().load().values()), theirs.cv_results_["mean_test_score"], rtol=0, atol=1e-12)


def test_a_bagging_ensemble_equals_scikit_learns_with_the_same_seeds():
    """https://scikit-learn.org/stable/modules/generated/sklearn.ensemble.BaggingClassifier.html: its example's data."""
    X, y = make_classification(
        n_samples=100, n_features=4, n_informative=2, n_redundant=0, random_state=0, shuffle=False
    )
    theirs = BaggingClassifier(DecisionTreeClassifier(), n_estimators=10, random_state=0).fit(X, y)

    @step
    def fit(seed, rows, data):
        X, y = data
        return clone(DecisionTreeClassifier(random_state=seed)).fit(X[rows], y[rows])

    @step
    def votes(model, X):
        return model.predict_proba(X)

    @step
    def add(a, b):
        return a + b

    @step
    def decide(total):
        return total.argmax(axis=1)

    @pipeline
    def bagging(seeds, samples):
        models = fit.map(seeds, samples, data=unmapped((X, y)))
        return decide(add.reduce(votes.map(models, unmapped(X))))

    seeds = [model.random_state for model in theirs.estimators_]
    found = bagging(seeds, [list(rows) for rows in theirs.estimators_samples_]).load()

    assert (found == theirs.predict(X)).all()
    assert theirs.predict([[0, 0, 0, 0]]).tolist() == [1]
