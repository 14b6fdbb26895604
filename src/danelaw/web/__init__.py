"""Pages: a check's result with its picture, and the small web service that runs checks.

All that a page shows came from strangers: DNS data, banners, certificates. It is shortened and made printable by
`danelaw.web.words.shown`, and escaped by Jinja2 or markupsafe, whoever writes it.
"""
