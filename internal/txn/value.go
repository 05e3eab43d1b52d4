package txn

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
)

// text gives an argument the form in which Redis gets it. Floats get as many digits as reading them back needs, and no
// exponent, as go-redis writes them.
func text(arg any) (string, error) {
	switch v := arg.(type) { // the usual ones, without reflection
	case string:
		return v, nil
	case []byte:
		return string(v), nil
	case int:
		return strconv.Itoa(v), nil
	}
	v := reflect.ValueOf(arg)
	switch v.Kind() {
	case reflect.String:
		return v.String(), nil
	case reflect.Bool:
		if v.Bool() {
			return "1", nil
		}
		return "0", nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.FormatInt(v.Int(), 10), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return strconv.FormatUint(v.Uint(), 10), nil
	case reflect.Float32, reflect.Float64:
		if math.IsNaN(v.Float()) {
			return "", fmt.Errorf("is not a number")
		}
		return strconv.FormatFloat(v.Float(), 'f', -1, v.Type().Bits()), nil
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return string(v.Bytes()), nil
		}
	}
	return "", fmt.Errorf("is of type %T, which is neither text nor a number", arg)
}
