# make dev   installs what is missing and runs a RocketMQ cluster on this machine
# make test  installs what is missing and runs the unit and integration tests

.PHONY: dev test install check

dev: install
	./gantry dev

test: install
	npm test
	npm run test:integration

check: install
	npm run check

# npm ci only when node_modules is not that of the lockfile, so that a second run needs no network.
install:
	@cmp -s package-lock.json node_modules/.installed-lock.json || \
		{ npm ci && cp package-lock.json node_modules/.installed-lock.json; }
