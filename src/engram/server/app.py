"""The web application: what can be asked of a server, and by whom.

method  path                                        scope   what
------  ------------------------------------------  ------  --------------------------------------------------------
GET     /                                           –       the page
GET     /v1/brains                                  read    the brains served, and what the asker may do
POST    /v1/brains                                  admin   make a new brain
GET     /v1/brains/{b}/info ?at=SEQ                 read    what it knows, now or at an earlier sequence number
GET     /v1/brains/{b}/classes                      read    labels, counts, newest examples
DELETE  /v1/brains/{b}/classes/{label}              teach   forget a label for good
POST    /v1/brains/{b}/examples                     teach   teach (JSON, multipart, picture, raw float32)
GET     /v1/brains/{b}/examples ?label=&after=&limit=  read what was taught, oldest first
DELETE  /v1/brains/{b}/examples ?teacher=           admin   forget all that one teacher taught
DELETE  /v1/brains/{b}/examples/{id}                teach   forget one example for good
GET     /v1/brains/{b}/examples/{id}/thumbnail      read    a small picture of it
POST    /v1/brains/{b}/examples/{id}:relabel        teach   it is something else
POST    /v1/brains/{b}/predict                      read    what is this? (JSON, multipart, picture, raw float32)
GET     /v1/brains/{b}/unknowns                     read    the inbox, grouped by likeness
POST    /v1/brains/{b}/unknowns/{group}:name        teach   learn a group under a label
GET     /v1/brains/{b}/unknowns/{number}/thumbnail  read    a small picture of one
POST    /v1/brains/{b}:rename                       teach   call a label by another name
POST    /v1/brains/{b}:undo                         teach   take back the last change
POST    /v1/brains/{b}:consolidate                  teach   merge redundant examples into prototypes
POST    /v1/brains/{b}:rollback                     admin   the brain as it was at a sequence number or time
POST    /v1/brains/{b}:meld                         admin   take over what another brain knows (JSON, or a zip)
POST    /v1/brains/{b}:swap                         admin   open its folder anew: it was replaced on disk
GET     /v1/brains/{b}/history ?before=&limit=      read    changes, newest first
GET     /v1/brains/{b}/map                          read    the memory in two dimensions
GET     /v1/brains/{b}/health                       read    confusion matrix, accuracy of each class over time
GET     /v1/brains/{b}/export ?format=jsonl|zip     read    the events as JSON lines, or the folder as a zip
GET     /v1/brains/{b}/events                       read    server-sent events: the sequence number whenever it grows
GET     /v2, /v2/health/live, /v2/health/ready      –       Open Inference Protocol V2
GET     /v2/models/{b}, /v2/models/{b}/ready        read
POST    /v2/models/{b}/infer                        read
GET     /metrics                                    read    for Prometheus
GET     /openapi.json                               –       all of this for machines
"""
