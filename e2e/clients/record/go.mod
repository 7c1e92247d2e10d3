module gantry.e2e/record

go 1.23
