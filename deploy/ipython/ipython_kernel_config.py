"""Read by every kernel of .venv: notes in work/progress.json which chapters have run."""

c = get_config()  # noqa: F821 (IPython defines it)
c.InteractiveShellApp.extensions.append("minimodels.classroom.student.kernel")
