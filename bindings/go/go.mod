module pawl.example/pawl

go 1.18
