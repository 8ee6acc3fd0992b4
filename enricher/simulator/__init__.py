"""Every provider in its own wire format, in one process, for tests, demos and benchmarks.

Under `/<provider>/…` stands what the provider serves under its base URL. People, companies and
addresses are invented from the identifier, the same at each provider and in each run. Some
identifiers are special, by their digits:

- a cpf or cnpj that starts with 404 is unknown everywhere (`404.000.003-00`,
  `40.400.000/0001-01`);
- a cep that ends in 999 is unknown everywhere (`01001-999`);
- a cpf that starts with 422 is a minor's: serpro answers 422 (`422.000.005-45`);
- a cpf that starts with 206 is known in part: serpro answers 206 (`206.000.007-61`);
- the key `revogada` is refused by whoever asks for one.

`/_control` sets latencies and faults and tells which calls came: see `control`.
"""
