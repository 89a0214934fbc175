"""The preset that this package ships."""

import zoo


def test_the_preset_is_found_by_its_name_and_its_model_is_built() -> None:
    run = zoo.load("my_part", scale="tiny")
    assert zoo.n_parameters(run.model) > 0
    assert "my_part" in str(run)
    zoo.build(run.model)
