c = get_config()
c.ClearSolutions.code_stub = {'python': '40.0'}
