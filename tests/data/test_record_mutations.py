from tests import record_mutations


def test_damaged_sets_are_read_or_refused_in_a_line(tmp_path):
    refused, accepted = record_mutations.run(300, 0, tmp_path)
    assert refused > 100
    assert accepted > 30
