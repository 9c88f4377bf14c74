"""Archives: analyses of many videos as Parquet files, made on Ray and used without a service.

`sources` lists videos, `analyser` analyses them in the actors of `ray_run`, `folder` has the files
of an archive, `search` finds words, `importing` fills a service's database. Only commands in
`app/cli/archive` and benchmarks come in: pyarrow and Ray are in the extra `archive`.
"""
