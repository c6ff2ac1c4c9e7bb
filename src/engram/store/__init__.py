"""What survives: an event log in SQLite that is the truth, and a folder of files written so that no crash harms them.

`Durable` makes any learner that can save durable; `EventLog` is the log; `Folder` the files beside it.
"""
