module pawl

go 1.18
