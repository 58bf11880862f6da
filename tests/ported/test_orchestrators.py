"""Programs that other tools publish for dynamic fan-outs, written with fanlab's names: each gives the same values."""

import pytest

import fanlab
from fanlab import pipeline, step, unmapped


def test_zenml_map_over_what_a_step_returns_and_reduce():
    """https://docs.zenml.io/concepts/steps_and_pipelines/dynamic_pipelines: map, product, unmapped, control flow."""

    @step
    def producer():
        return [1, 2, 3]

    @step
    def worker(value):
        return value * 2

    @step
    def combined(a, b):
        return a + b

    @step
    def report(values):
        return sum(values)

    @pipeline
    def map_reduce():
        values = producer()
        return (
            report(worker.map(values)),
            report(combined.product(values, [10, 20])),
            report(combined.map(values, unmapped(100))),
        )

    assert map_reduce().load() == (12, 102, 306)


def test_zenml_a_loop_as_long_as_a_loaded_value_says():
    """https://docs.zenml.io/concepts/steps_and_pipelines/dynamic_pipelines: the basic example."""

    @step
    def generate_int():
        return 3

    @step
    def do_something(index):
        return f"Processing index {index}"

    @pipeline
    def dynamic_pipeline():
        count = generate_int()
        return [do_something(i) for i in range(count.load())]

    assert dynamic_pipeline().load() == [f"Processing index {i}" for i in range(3)]


def test_prefect_four_stages_of_a_mapping():
    """https://docs.prefect.io/core/examples/mapping: get_numbers, inc, add(2), compute_sum."""

    @step
    def get_numbers(n):
        return list(range(1, n + 1))

    @step
    def inc(x):
        return x + 1

    @step
    def add(x, y):
        return x + y

    @step
    def compute_sum(nums):
        return sum(nums)

    @pipeline
    def mapping(n=3):
        numbers = get_numbers(n)
        return compute_sum(add.map(inc.map(numbers), unmapped(2)))

    assert [mapping().load(), mapping(0).load(), mapping(5).load()] == [15, 0, 30]


def test_prefect_a_reduce_goes_on_although_some_mapped_ones_failed():
    """https://github.com/PrefectHQ/prefect/issues/7098: the fan-in after a map of which some branches failed."""

    @step
    def divide(x):
        return 12 // x

    @step
    def collect(values, table):
        return values, list(table["error"].dropna())

    @pipeline
    def some_fail():
        quotients = divide.map([1, 0, 3])
        return collect(quotients.successful(), quotients.results)

    run = some_fail()

    assert run.status == "completed"
    values, errors = run.load()
    assert values == [12, 4]
    assert len(errors) == 1
    assert errors[0].startswith("ZeroDivisionError: ")


def test_airflow_sum_it_and_a_map_of_maps():
    """airflow.apache.org/docs/apache-airflow/3.3.0/authoring-and-scheduling/dynamic-task-mapping.html."""

    @step
    def add_one(x):
        return x + 1

    @step
    def sum_it(values):
        return sum(values)

    @step
    def get_nums():
        return [1, 2, 3]

    @step
    def times_2(num):
        return num * 2

    @step
    def add_10(num):
        return num + 10

    @pipeline
    def example_dynamic_task_mapping():
        return sum_it(add_one.map([1, 2, 3]))

    @pipeline
    def example_task_mapping_second_order():
        return add_10.map(times_2.map(get_nums()))

    assert example_dynamic_task_mapping().load() == 9
    assert example_task_mapping_second_order().load() == [12, 14, 16]


def test_airflow_a_map_of_no_items_gives_an_empty_list():
    """https://github.com/apache/airflow/issues/43214: there it is skipped; here the fan-in gets []."""

    @step
    def nothing():
        return []

    @step
    def add_one(x):
        return x + 1

    @step
    def sum_it(values):
        return sum(values)

    @pipeline
    def empty():
        return sum_it(add_one.map(nothing()))

    assert empty().load() == 0


def test_dagster_pieces_are_computed_and_merged():
    """https://docs.dagster.io/concepts/ops-jobs-graphs/dynamic-graphs: a dynamic job, chained and collected."""

    @step
    def load_pieces():
        return {f"piece_{i}": list(range(i * 10, i * 10 + 10)) for i in range(3)}

    @step
    def compute_piece(piece):
        return sum(piece)

    @step
    def another(total, factor):
        return total * factor

    @step
    def merge_and_analyze(results):
        return {"pieces": list(results), "total": sum(results.values())}

    @pipeline
    def dynamic_graph():
        return merge_and_analyze(another.map(compute_piece.map(load_pieces()), 2))

    assert dynamic_graph().load() == {"pieces": ["piece_0", "piece_1", "piece_2"], "total": 2 * sum(range(30))}


def test_dagster_a_fan_out_of_units_in_a_fan_out_of_records():
    """https://docs.dagster.io/examples/mini-examples/dynamic-fanout: units of records, collected once a record."""

    @step
    def related_records(start):
        return [{"id": f"record_{start + i}", "units": list(range(i + 1))} for i in range(3)]

    @step
    def units(record):
        return [(record["id"], unit) for unit in record["units"]]

    @step
    def process_unit(unit):
        name, number = unit
        if (name, number) == ("record_2", 1):
            raise ValueError("a broken unit")
        return name, number * 10

    @step
    def summary(results):
        totals = {}
        for name, value in results.values() if isinstance(results, dict) else results:
            totals[name] = totals.get(name, 0) + value
        return totals

    @pipeline
    def fan_out(start=0):
        found = process_unit.map(units.map(related_records(start)).flatten())
        return summary(found.successful())

    run = fan_out()
    assert run.load() == {"record_0": 0, "record_1": 10, "record_2": 20}
    assert run["process_unit[2,1]"].status == "failed"
    assert fan_out(5).load() == {"record_5": 0, "record_6": 10, "record_7": 30}


def test_metaflow_foreach_over_titles():
    """https://docs.metaflow.org/metaflow/basics#foreach: a branch a title, joined."""

    @step
    def start():
        return ["Stranger Things", "House of Cards", "Narcos"]

    @step
    def a(title):
        return f"{title} processed"

    @step
    def join(results):
        return results

    @pipeline
    def for_each_flow():
        return join(a.map(start()))

    assert for_each_flow().load() == ["Stranger Things processed", "House of Cards processed", "Narcos processed"]


def test_metaflow_nested_foreach_with_a_join_at_each_level():
    """https://docs.metaflow.org/api/flowspec: foreach_stack, the indexes of a nested foreach."""

    @step
    def countries():
        return {"us": ["ny", "sf"], "de": [], "fr": ["paris", "lyon", "nice"]}

    @step
    def cities(names):
        return names

    @step
    def size(city):
        return len(city)

    @step
    def inner_join(country, sizes):
        return sum(size for path, size in sizes.items() if path[0] == country)

    @step
    def join(totals):
        return totals

    @pipeline
    def nested(names=("us", "de", "fr")):
        sizes = size.map(cities.map(countries()).flatten())
        return join(inner_join.map({name: name for name in names}, sizes=unmapped(sizes)))

    run = nested()
    assert run.load() == {"us": 4, "de": 0, "fr": 13}
    assert [name for name in run.steps if name.startswith("size")] == [
        "size[us,0]", "size[us,1]", "size[fr,0]", "size[fr,1]", "size[fr,2]",
    ]  # fmt: skip


def test_targets_a_branch_for_each_group_of_rows():
    """https://docs.ropensci.org/targets/reference/tar_group.html: x = 1:6, id = a a b b c c, the sum of each group."""

    @step
    def row(x, id_):
        return x

    @step
    def total(xs):
        return sum(xs)

    @pipeline
    def groups():
        rows = row.map_records([{"x": x, "id_": "abc"[(x - 1) // 2]} for x in range(1, 7)])
        return total.map(rows.group_by("id_"))

    assert groups().load() == {"a": 3, "b": 7, "c": 11}


def test_targets_map_and_cross_patterns():
    """https://docs.ropensci.org/targets/reference/tar_branch_names.html: z <- y <- 2 * x over four branches."""

    @step
    def x():
        return [1, 2, 3, 4]

    @step
    def double(x):
        return 2 * x

    @step
    def same(y):
        return y

    @pipeline
    def patterns():
        return same.map(double.map(x()))

    run = patterns()
    assert run.load() == [2, 4, 6, 8]
    assert [f"same[{i}]" in run.steps for i in range(4)] == [True] * 4


def test_word_count_by_map_items_groups_and_reduce():
    """hadoop.apache.org/docs/current/hadoop-mapreduce-client/hadoop-mapreduce-client-core/MapReduceTutorial.html."""

    @step
    def tokenize(line):
        return line.split()

    @step
    def one(word):
        return 1

    @step
    def int_sum(values):
        return sum(values)

    @step
    def merge(a, b):
        return {**a, **b}

    @step
    def entry(word, count):
        return {word: count}

    @pipeline
    def word_count(lines):
        counts = int_sum.map(one.map(tokenize.map(lines).flatten()).group_by("word"))
        return counts, int_sum(one.map(tokenize.map(lines).flatten()))

    counts, total = word_count(["Hello World Bye World", "Hello Hadoop Goodbye Hadoop"]).load()

    assert counts == {"Bye": 1, "Goodbye": 1, "Hadoop": 2, "Hello": 2, "World": 2}
    assert total == 8

    @pipeline
    def merged():
        return merge.reduce(entry.map(list(counts), list(counts.values())))

    assert merged().load() == counts


def test_a_failed_map_branch_skips_only_its_own_line():
    """https://github.com/dagster-io/dagster/issues/4630: a fan-in when one branch failed; the others are kept."""

    @step
    def parse(text):
        return int(text)

    @step
    def double(x):
        return 2 * x

    @pipeline
    def lines():
        return double.map(parse.map(["1", "x", "3"]))

    with pytest.raises(fanlab.PipelineError) as caught:
        lines()

    statuses = {name: row.status for name, row in caught.value.run.steps.items()}
    assert statuses == {
        "parse[0]": "completed",
        "parse[1]": "failed",
        "parse[2]": "completed",
        "double[0]": "completed",
        "double[1]": "skipped",
        "double[2]": "completed",
    }
