"""Settings: what has been set, and what has not."""

from fanlab.core.settings import Settings, change, settings


def test_what_is_not_changed_stays():
    change(n_jobs=3)
    change(backend="threading")
    assert settings() == Settings(n_jobs=3, backend="threading")


def test_settings_that_somebody_holds_do_not_change():
    held = settings()
    change(n_jobs=5)
    assert held.n_jobs is None
