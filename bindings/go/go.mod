module github.com/pawl-lock/pawl/bindings/go

go 1.18
