module github.com/lull-dev/lull/test/images/tools

go 1.26
