"""The unit that is drawn as a whole: patients, lesions, or what both connect."""

import numpy as np

from mole_jax.evaluation.lesions import lesion_estimates
from mole_jax.evaluation.operating_points import given_threshold
from mole_jax.evaluation.predictions import Predictions, read_predictions, write_predictions
from mole_jax.evaluation.statistics.groups import connected
from mole_jax.evaluation.summary import evaluate
from mole_jax.evaluation.table import format_table


def of(lesion=None, patient=None, n=6):
    columns = {"lesion_id": lesion, "patient_id": patient}
    return Predictions(
        np.array([f"i{i}" for i in range(n)]),
        np.arange(n) % 2,
        np.linspace(0.1, 0.9, n),
        **{name: None if column is None else np.array(column) for name, column in columns.items()},
    )


def test_what_hangs_together_is_one_component():
    found = connected([np.array(["A", "A", "B", "", ""]), np.array(["", "x", "x", "y", ""])])
    assert found[0] == found[1] == found[2]
    assert len({found[0], found[3], found[4]}) == 3


def test_a_patient_or_a_lesion_connects_and_the_patient_names():
    p = of(["L1", "L1", "L2", "", "", "L3"], ["", "P2", "P2", "P1", "", ""])
    assert p.group.tolist() == ["P2", "P2", "P2", "P1", "i4", "L3"]
    assert p.unit == "patient"
    assert p.groups.count == 4


def test_patients_alone_and_columns_that_know_nothing():
    assert of(patient=["P1", "P1", "", "P2", "P2", "P2"]).group.tolist() == ["P1", "P1", "i2", "P2", "P2", "P2"]
    nothing = of([""] * 6, [""] * 6)
    assert (nothing.lesion_id, nothing.patient_id, nothing.unit) == (None, None, "image")


def test_unknown_groups_in_any_spelling_are_none(tmp_path):
    path = tmp_path / "test.csv"
    path.write_text("image_id,lesion_id,patient_id,label,score\na,nan,NA,0,0.1\nb,None,-,1,0.2\nc,L,unknown,1,0.3\n")
    found = read_predictions(path)
    assert found.group.tolist() == ["a", "b", "L"]
    assert found.patient_id is None


def test_patients_are_written_and_read_back(tmp_path):
    p = of(["L1", "L1", "L2", "", "", "L3"], ["", "P2", "P2", "P1", "", ""])
    write_predictions(tmp_path / "p.csv", p)
    assert read_predictions(tmp_path / "p.csv").group.tolist() == p.group.tolist()


def test_the_table_counts_patients_and_lesions_keep_one_score_each(make):
    lesions = make(400, images_per_lesion=2)
    patient = np.array([f"P{i // 8}" for i in range(400)])
    p = Predictions(lesions.image_id, lesions.label, lesions.score, lesion_id=lesions.lesion_id, patient_id=patient)
    found = evaluate(p, resamples=20)
    assert (found["splits"]["test"]["grouped_by"], found["splits"]["test"]["groups"]) == ("patient_id", 50)
    assert found["splits"]["test"]["by_lesion"]["lesions"] == 200
    assert "400 images of 50 patients" in format_table(found)
    assert "variance between patients" in format_table(found)
    assert "cross-fitted in 5 folds of whole patients" in " ".join(format_table(found).split())
    alone = lesion_estimates(lesions, [given_threshold(0.5)])
    together = lesion_estimates(p, [given_threshold(0.5)])
    at = [of["maximum"]["operating_points"]["given"] for of in (alone, together)]
    assert at[0]["confusion"] == at[1]["confusion"]
    assert at[0]["sensitivity"] != at[1]["sensitivity"]  # lesions of one patient say less than as many of several


def test_a_patient_in_two_files_is_leakage():
    validation = of(patient=["P1", "P1", "P2", "P2", "P3", "P3"])
    test = Predictions(np.array(["a", "b"]), np.array([0, 1]), np.array([0.1, 0.9]), patient_id=np.array(["P3", "P9"]))
    found = evaluate(test, validation=validation, resamples=20)
    assert (
        found["warnings"][0] == "LEAKAGE: 1 patients lie in both validation and test (1 images of test), for example P3"
    )
