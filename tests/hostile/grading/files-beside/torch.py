raise SystemExit('this torch')
